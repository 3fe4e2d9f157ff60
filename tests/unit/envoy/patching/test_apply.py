"""Patched configurations: what is shared, what is refused, and what is recorded."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.builders import extending, views
from tests.builders.extending import envoy_filter, patch

from varka.envoy import dump, generate
from varka.model.services import Protocol
from varka.model.view import ProxyView

MANAGER = "envoy.filters.network.http_connection_manager"
WEB = views.service("web", {9080: Protocol.HTTP, 9000: Protocol.TCP})


def sidecar(*patches: Any, name: str = "web") -> ProxyView:
    """A sidecar of `web` with an EnvoyFilter of these patches."""
    view = views.view(views.sidecar(name), views.outbound([WEB], [views.endpoint(WEB, 9080)]), [WEB])
    return extending.extended(view, [envoy_filter(*patches)]) if patches else view


def http_filters(config: generate.ProxyConfig, listener: str = "virtualInbound") -> list[list[str]]:
    """Names of the HTTP filters, by chain."""
    chains = dump.to_dict(config.listeners[listener])["filterChains"]
    managers = [item["typedConfig"] for chain in chains for item in chain["filters"] if item["name"] == MANAGER]
    return [[item["name"] for item in manager["httpFilters"]] for manager in managers]


def test_no_filter_no_work() -> None:
    """Without EnvoyFilters the resources are the very objects that the other stages made."""
    view = sidecar()
    plain = generate.generate(view)
    assert generate.generate(replace(view)).listeners is plain.listeners
    assert (plain.applied, plain.problems, plain.extensions) == (frozenset(), (), {})


def test_untouched_resources_stay_the_same_objects() -> None:
    """A patch of one cluster leaves all other resources, and the maps in which nothing changed, as they are."""
    plain = generate.generate(sidecar())
    view = sidecar(patch("CLUSTER", "MERGE", {"connect_timeout": "7s"}, {"cluster": {"name": "outbound|9000||web.default.svc.cluster.local"}}))
    changed = generate.generate(replace(view, outbound=view.outbound))
    assert changed.listeners.keys() == plain.listeners.keys()
    differing = [name for name in changed.clusters if changed.clusters[name].body != plain.clusters[name].body]
    assert differing == ["outbound|9000||web.default.svc.cluster.local"]


def test_proxies_with_equal_patches_share_resources() -> None:
    """Two proxies that get the same listener and the same patches get the same patched object."""
    seen = views.outbound([WEB])
    changes = extending.of(views.sidecar("one"), [envoy_filter(patch("LISTENER", "MERGE", {"stat_prefix": "x"}))])
    first, second = (
        generate.generate(replace(views.view(views.sidecar(name, ip), seen), extensions=changes)) for name, ip in (("one", "10.0.0.1"), ("two", "10.0.0.2"))
    )
    assert all(first.listeners[name] is second.listeners[name] for name in first.listeners if name != "virtualInbound")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (patch("HTTP_FILTER", "ADD", {"name": ""}), "name may not be empty"),
        (patch("LISTENER", "MERGE", {"per_connection_buffer_limit_bytes": "many"}), "Failed to parse per_connection_buffer_limit_bytes field"),
        (patch("HTTP_FILTER", "ADD", {"name": "x", "typed_config": {"@type": "type.googleapis.com/no.such.Message"}}), "no message that Envoy knows"),
        (patch("HTTP_FILTER", "REMOVE", match={"listener": {"filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}}}}), "exactly one router"),
        (
            patch("NETWORK_FILTER", "MERGE", {"typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}, {"listener": {"filterChain": {"filter": {"name": MANAGER}}}}),
            "cannot be merged into",
        ),
        (patch("VIRTUAL_HOST", "ADD", {"name": "x", "domains": ["web"]}, {"routeConfiguration": {"name": "9080"}}), "the domain web belongs to the virtual host"),
        (patch("FILTER_CHAIN", "ADD", {"filter_chain_match": {"destination_port": 15001}}, {"listener": {"name": "virtualOutbound"}}), "already has a filter chain"),
        (patch("CLUSTER", "ADD", {"name": "BlackHoleCluster"}), "there already is a cluster BlackHoleCluster"),
        (patch("CLUSTER", "MERGE", {"connect_timeout": "-1s"}, {"cluster": {"name": "BlackHoleCluster"}}), "connect_timeout must be more than 0s"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_and_not_sent(change: dict[str, Any], reason: str) -> None:
    """A patch that leads nowhere leaves the configuration as it was, and says why."""
    plain, config = generate.generate(sidecar()), generate.generate(sidecar(change))
    assert {problem.origin for problem in config.problems} == {"default/f"}
    assert all(reason in problem.message for problem in config.problems)
    for kind in ("listeners", "clusters", "routes"):
        assert {name: item.body for name, item in getattr(config, kind).items()} == {name: item.body for name, item in getattr(plain, kind).items()}


def test_a_patch_that_matches_nothing_is_not_applied() -> None:
    """What met nothing is missing among the applied ones, and is no problem of the configuration."""
    config = generate.generate(
        sidecar(patch("CLUSTER", "REMOVE", match={"cluster": {"name": "nobody"}}), patch("CLUSTER", "REMOVE", match={"cluster": {"name": "BlackHoleCluster"}}))
    )
    assert (config.applied, config.problems) == (frozenset({("default/f", 1)}), ())  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "more", "expected"),
    [
        ("ADD", {}, ["envoy.filters.http.set_filter_state", "envoy.filters.http.grpc_stats", "mine", "envoy.filters.http.router"]),
        ("INSERT_FIRST", {}, ["mine", "envoy.filters.http.set_filter_state", "envoy.filters.http.grpc_stats", "envoy.filters.http.router"]),
        ("ADD", {"filterClass": "STATS"}, ["envoy.filters.http.set_filter_state", "envoy.filters.http.grpc_stats", "mine", "envoy.filters.http.router"]),
        ("ADD", {"filterClass": "AUTHN"}, ["mine", "envoy.filters.http.set_filter_state", "envoy.filters.http.grpc_stats", "envoy.filters.http.router"]),
        ("INSERT_BEFORE", {}, ["mine", "envoy.filters.http.set_filter_state", "envoy.filters.http.grpc_stats", "envoy.filters.http.router"]),
        ("INSERT_AFTER", {}, ["envoy.filters.http.set_filter_state", "envoy.filters.http.grpc_stats", "mine", "envoy.filters.http.router"]),
    ],
)
def test_where_a_filter_goes(operation: str, more: dict[str, Any], expected: list[str]) -> None:
    """A filter that names no other goes to the place that its operation and class say, and never behind the router."""
    match = {"context": "SIDECAR_INBOUND", "listener": {"portNumber": 9080}}
    config = generate.generate(sidecar(patch("HTTP_FILTER", operation, {"name": "mine", "disabled": True}, match, **more)))
    found = http_filters(config)
    assert found.count(expected) == 2
    assert sum("mine" in names for names in found) == 2


def test_filters_of_one_place_are_changed_in_order() -> None:
    """A filter that an earlier patch put in can be found by a later one."""
    by_name = {"listener": {"filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "mine"}}}}}
    config = generate.generate(
        sidecar(
            patch("HTTP_FILTER", "INSERT_FIRST", {"name": "mine", "disabled": True}),
            patch("HTTP_FILTER", "INSERT_AFTER", {"name": "next", "disabled": True}, by_name),
            patch("HTTP_FILTER", "REPLACE", {"name": "other", "disabled": True}, by_name),
        )
    )
    assert all(names[:2] == ["other", "next"] for names in http_filters(config))


def test_a_listener_of_another_kind_of_proxy_is_not_touched() -> None:
    """A patch for gateways does nothing on a sidecar, and one for inbound nothing outbound."""
    config = generate.generate(
        sidecar(patch("LISTENER", "MERGE", {"stat_prefix": "x"}, {"context": "GATEWAY"}), patch("LISTENER", "REMOVE", match={"context": "SIDECAR_INBOUND"}))
    )
    plain = generate.generate(sidecar())
    assert sorted(plain.listeners.keys() - config.listeners.keys()) == ["virtualInbound"]
    assert config.applied == frozenset({("default/f", 1)})  # fmt: skip


def test_filters_wait_for_their_routes_unless_others_are_put_in() -> None:
    """Faults and CORS are off until a route says something of them; beside a filter that may change the route they always work."""
    match = {"context": "SIDECAR_OUTBOUND", "listener": {"filterChain": {"filter": {"name": MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}}}}
    lua = {"name": "lua", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"}}
    for view, expected in (
        (sidecar(), ["envoy.filters.http.fault", "envoy.filters.http.cors"]),
        (sidecar(patch("HTTP_FILTER", "INSERT_BEFORE", lua, match)), []),
    ):
        (chain, *_) = dump.to_dict(generate.generate(view).listeners["0.0.0.0_9080"])["filterChains"]
        (manager,) = (item["typedConfig"] for item in chain["filters"] if item["name"] == MANAGER)
        assert [item["name"] for item in manager["httpFilters"] if item.get("disabled")] == expected
