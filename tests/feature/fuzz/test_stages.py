"""Resources that hypothesis draws from the schemas, through every stage that the control plane has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders import fuzzing
from tests.builders.fuzzing import Mood
from tests.builders.meshobjects import proxy, snapshot_of

from varka import resources
from varka.analysis import analyzers
from varka.base.wire import WireResource
from varka.control import validation
from varka.control.reporting.statuses import Known, of
from varka.envoy import generate
from varka.model import views
from varka.model.view import Proxy
from varka.resources import acting
from varka.resources.kinds import Kind
from varka.resources.validation import usable

MESH = fuzzing.mesh()
SIDECAR = proxy("web", "10.244.0.1", "fuzzed", version="v1")
GATEWAY = proxy("gw", "10.244.0.2", "fuzzed", "router")
UNRELATED = proxy("api", "10.244.0.3")
BASE = snapshot_of(*MESH)
QUICK = settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
EXPORTED = {"VirtualService", "DestinationRule", "ServiceEntry"}
"""Kinds that other namespaces see, unless they say otherwise."""
CONCERNED = {"PeerAuthentication": {"endpoints", "clusters"}}
"""What other namespaces have to know of a kind: whether the endpoints speak mutual TLS."""
each = pytest.mark.parametrize("kind", fuzzing.KINDS, ids=lambda kind: kind.kind)


def _used(obj: dict[str, Any]) -> bool:
    """Whether the control plane would act on a resource: it leaves out what admission refuses, policies excepted."""
    return usable(resources.parse(obj)).spec is not None


def _config(snapshot: Any, node: Proxy) -> dict[str, dict[str, WireResource]]:
    found = generate.generate(views.view(snapshot, node))
    return {name: dict(getattr(found, name)) for name in ("listeners", "clusters", "routes", "endpoints")}


BEFORE = _config(BASE, UNRELATED)


@each
def test_judging_never_raises(kind: Kind) -> None:
    """Whatever is written, even of the wrong type, is read, judged, analyzed and told of in a status."""

    @QUICK
    @given(fuzzing.resource(kind, Mood.WILD))
    def judge(obj: dict[str, Any]) -> None:
        validation.problems(obj)
        found = Known(found=tuple(validation.findings(obj)), unused=tuple(acting.not_acted_on(resources.parse(obj))))
        status = of(found, obj.get("status"), "2026-01-01T00:00:00Z")
        assert status is None or of(found, status, "2026-01-02T00:00:00Z") is None
        analyzers.analyze([*MESH, obj])

    judge()


@pytest.mark.parametrize("mood", [Mood.TAME, Mood.ODD])
@each
def test_configuration_never_fails_and_stays_at_home(kind: Kind, mood: Mood) -> None:
    """Every resource that can be read becomes some configuration; proxies of other namespaces, which it does not concern, keep theirs to the byte."""

    @QUICK
    @given(fuzzing.resource(kind, mood))
    def build(obj: dict[str, Any]) -> None:
        if kind.kind in EXPORTED:
            obj["spec"]["exportTo"] = ["."]
        if not _used(obj):
            return
        snapshot = snapshot_of(*MESH, obj, previous=BASE)
        for node in (SIDECAR, GATEWAY):
            _config(snapshot, node)
        after = _config(snapshot, UNRELATED)
        assert [name for name in BEFORE if after[name] != BEFORE[name] and name not in CONCERNED.get(kind.kind, ())] == []

    build()


@settings(QUICK, max_examples=30)
@given(st.data())
def test_resources_together(data: st.DataObject) -> None:
    """Several resources of different kinds at once."""
    chosen = data.draw(st.lists(st.sampled_from(fuzzing.KINDS), min_size=2, max_size=4, unique_by=lambda kind: kind.kind))
    made = [obj for obj in (data.draw(fuzzing.resource(kind, Mood.TAME)) for kind in chosen) if _used(obj)]
    snapshot = snapshot_of(*MESH, *made)
    for node in (SIDECAR, GATEWAY, UNRELATED):
        _config(snapshot, node)
    analyzers.analyze([*MESH, *made])
