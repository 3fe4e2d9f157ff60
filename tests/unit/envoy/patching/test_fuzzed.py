"""Whatever a patch holds, a configuration comes out, and what Envoy would refuse is not in it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import extending, views
from tests.builders.extending import envoy_filter, patch

from varka.envoy import dump, generate
from varka.envoy.patching import constraints
from varka.model.patches import Operation, Place
from varka.model.services import Protocol

WEB = views.service("web", {9080: Protocol.HTTP})
VIEW = views.view(views.sidecar("web"), views.outbound([WEB], [views.endpoint(WEB, 9080)]), [WEB])
TYPES = ("google.protobuf.Any", "envoy.extensions.filters.http.router.v3.Router", "udpa.type.v1.TypedStruct", "google.protobuf.StringValue", "no.such")
NAMES = (
    "name",
    "typed_config",
    "connect_timeout",
    "filters",
    "filter_chains",
    "virtual_hosts",
    "domains",
    "routes",
    "match",
    "route",
    "address",
    "type",
    "value",
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-5, 70000), st.text(max_size=6), st.sampled_from(["1s", "STATIC", "*", "-1s", "9080"]))


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    plain = st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    typed = st.builds(lambda name, fields: {"@type": f"type.googleapis.com/{name}", **fields}, st.sampled_from(TYPES), plain)
    return st.one_of(plain, typed, st.lists(inner, max_size=2))


VALUES = st.recursive(LEAVES, _objects, max_leaves=8)
MATCHES = st.sampled_from(
    [None, {"context": "SIDECAR_INBOUND"}, {"listener": {"portNumber": 9080}}, {"cluster": {"name": "BlackHoleCluster"}}, {"routeConfiguration": {}}]
)


@settings(max_examples=150, deadline=None)
@given(
    place=st.sampled_from(list(Place)),
    operation=st.sampled_from(list(Operation)),
    value=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
    match=MATCHES,
)
def test_any_value(place: Place, operation: Operation, value: dict[str, Any], match: Any) -> None:
    """No exception; every resource that differs from the unpatched one keeps Envoy's rules as far as it did before."""
    config = generate.generate(extending.extended(VIEW, [envoy_filter(patch(place.value, operation.value, value, match))]))
    plain = generate.generate(VIEW)
    for kind in ("listeners", "clusters", "routes"):
        before = getattr(plain, kind)
        for name, resource in getattr(config, kind).items():
            if name not in before:
                assert constraints.broken(dump.message(resource)) == ""
            elif resource.body != before[name].body:
                assert constraints.newly_broken(dump.message(before[name]), dump.message(resource)) == ""
