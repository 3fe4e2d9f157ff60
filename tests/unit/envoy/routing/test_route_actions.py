from __future__ import annotations

from varka.envoy.routing import route_actions
from varka.model.traffic import Retries


def test_other_localities_are_tried() -> None:
    """`retryRemoteLocalities` lets a retry leave the priority that failed."""
    policy = route_actions.retry_policy(Retries(remote_localities=True))
    assert policy.retry_priority.name == "envoy.retry_priorities.previous_priorities"
    assert not route_actions.retry_policy(Retries()).HasField("retry_priority")


def test_status_codes_in_retry_on() -> None:
    """Numbers among the conditions become retriable status codes, and the condition for them is added."""
    policy = route_actions.retry_policy(Retries(retry_on="5xx,503"))
    assert (policy.retry_on, list(policy.retriable_status_codes)) == ("5xx,retriable-status-codes", [503])


def test_no_attempts() -> None:
    """Without attempts there is no policy."""
    assert route_actions.retry_policy(Retries(attempts=0)) is None


def test_the_same_host_may_be_tried_again() -> None:
    """`retryIgnorePreviousHosts: false` takes the predicate away."""
    assert not route_actions.retry_policy(Retries(ignore_previous_hosts=False)).retry_host_predicate
    assert [item.name for item in route_actions.retry_policy(Retries()).retry_host_predicate] == ["envoy.retry_host_predicates.previous_hosts"]


def test_a_timeout_is_not_undone_by_another_field() -> None:
    """Envoy ignores `timeout` on a route that has `max_stream_duration`; without a timeout nothing limits but `grpc-timeout`."""
    action = route_actions.forward(0.5, Retries())
    assert (action.timeout.ToMilliseconds(), action.HasField("max_stream_duration")) == (500, False)
    forever = route_actions.forward(None, Retries())
    assert (forever.HasField("timeout"), forever.timeout.ToMilliseconds(), forever.HasField("max_stream_duration")) == (True, 0, True)
