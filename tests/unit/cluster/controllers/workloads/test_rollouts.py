from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varka.cluster.controllers.workloads import rollouts
from varka.cluster.controllers.workloads.rollouts import Counts, Limits


@pytest.mark.parametrize(
    ("value", "total", "up", "result"), [("25%", 3, True, 1), ("25%", 3, False, 0), (2, 10, True, 2), ("100%", 4, False, 4), ("0%", 4, True, 0)]
)
def test_percentages_round_as_kubernetes_does(value, total, up, result):
    """Surge rounds up, unavailability rounds down."""
    assert rollouts.absolute(value, total, up=up) == result


def test_surge_and_unavailability_cannot_both_be_nothing():
    """With both at zero a rollout could not move, so one pod may be missing."""
    strategy = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}
    assert rollouts.limits({"spec": {"replicas": 3, "strategy": strategy}}) == Limits(replicas=3, surge=0, unavailable=1)


def test_defaults_are_a_quarter():
    """Without a strategy a quarter may be added and a quarter may be missing."""
    assert rollouts.limits({"spec": {"replicas": 10}}) == Limits(replicas=10, surge=3, unavailable=2)


def test_unhealthy_old_pods_go_first():
    """Old replicas that are not available are removed whatever the new ones do."""
    bounds = Limits(replicas=4, surge=1, unavailable=0)
    assert rollouts.shrink(bounds, Counts(wanted=1, available=1), [Counts(wanted=2, available=1), Counts(wanted=2, available=2)]) == [1, 2]


@given(st.integers(1, 20), st.integers(0, 5), st.integers(0, 5), st.data())
def test_no_step_breaks_the_bounds_and_every_rollout_ends(replicas, surge, unavailable, data):
    """Whatever pods become available when, the surge and the least availability hold, and the new set ends with all replicas."""
    bounds = Limits(replicas=replicas, surge=surge, unavailable=min(max(unavailable, 0 if surge else 1), replicas))
    new_wanted = new_ready = 0
    old = replicas
    for step in range(200):
        new_wanted = rollouts.grow(bounds, Counts(wanted=new_wanted, available=new_ready), [Counts(wanted=old, available=old)])
        assert new_wanted + old <= replicas + surge
        (old,) = rollouts.shrink(bounds, Counts(wanted=new_wanted, available=new_ready), [Counts(wanted=old, available=old)])
        assert new_ready + old >= replicas - bounds.unavailable
        if new_ready == replicas and old == 0:
            return
        new_ready = data.draw(st.integers(new_ready, new_wanted)) if step < 50 else new_wanted
    raise AssertionError("the rollout did not end")
