from __future__ import annotations

from msgspec.structs import replace
from tests.builders import views

from varka.envoy import dump, generate
from varka.model.services import Protocol
from varka.model.traffic import HttpRoute, Redirect


def test_proxies_of_equal_scope_share_their_resources() -> None:
    """Two clients in one namespace get the very same mappings."""
    seen = views.outbound([views.service("web")])
    first, second = (generate.generate(views.view(views.sidecar(name), seen)) for name in ("a", "b"))
    assert first.clusters is second.clusters
    assert first.routes is second.routes
    assert first.listeners is second.listeners


def test_a_changed_endpoint_rebuilds_one_assignment() -> None:
    """Everything else is the same object as before."""
    services = [views.service(f"s{number}", address=f"10.96.1.{number}") for number in range(10)]
    known = [views.endpoint(service, 9080) for service in services]
    seen = views.outbound(services, known)
    before = generate.generate(views.view(views.sidecar(), seen))
    changed = {**seen.endpoints, (services[3].hostname, 9080): (views.endpoint(services[3], 9080, "10.244.9.9"),)}
    after = generate.generate(views.view(views.sidecar(), replace(seen, endpoints=changed)))
    assert [name for name in after.endpoints if after.endpoints[name] is not before.endpoints[name]] == ["outbound|9080||s3.default.svc.cluster.local"]
    assert after.routes is before.routes
    assert after.listeners is before.listeners
    assert after.clusters is before.clusters


def test_a_changed_rule_rebuilds_routes_only() -> None:
    """A VirtualService changes no cluster and no endpoint."""
    seen = views.outbound([views.service("web"), views.service("other")])
    before = generate.generate(views.view(views.sidecar(), seen))
    rules = views.rules("web", HttpRoute(redirect=Redirect(uri="/x")))
    after = generate.generate(views.view(views.sidecar(), replace(seen, virtual_services=(rules,))))
    assert after.routes["9080"].version != before.routes["9080"].version
    assert after.listeners["0.0.0.0_9080"] is before.listeners["0.0.0.0_9080"]
    assert all(after.endpoints[name] is before.endpoints[name] for name in after.endpoints)


def test_names_are_in_order() -> None:
    """The same view always lists its resources in the same order."""
    config = generate.generate(views.view(views.sidecar(), views.outbound([views.service("b"), views.service("a")])))
    assert list(config.clusters) == sorted(config.clusters)


def test_a_domain_belongs_to_one_host() -> None:
    """Of two services with one address the first keeps it, since Envoy refuses a domain that occurs twice."""
    seen = views.outbound([views.service("a"), views.service("b")])
    routes = dump.to_dict(generate.generate(views.view(views.sidecar(), seen)).routes["9080"])
    owners = [host["name"] for host in routes["virtualHosts"] if "10.96.0.10" in host["domains"]]
    assert owners == ["a.default.svc.cluster.local:9080"]


def test_udp_is_not_captured() -> None:
    """A UDP port has neither cluster nor listener."""
    config = generate.generate(views.view(views.sidecar(), views.outbound([views.service("dns", {53: Protocol.UDP})])))
    assert not any("|53|" in name for name in config.clusters)
    assert set(config.listeners) == {"virtualInbound", "virtualOutbound"}


def test_short_names_follow_the_proxys_namespace() -> None:
    """Clients in different namespaces get different domains for one service."""
    seen = views.outbound([views.service("web")])
    here = generate.generate(views.view(views.sidecar(), seen)).routes["9080"]
    there = generate.generate(views.view(replace(views.sidecar(), namespace="shop"), seen)).routes["9080"]
    assert "web" in dump.to_dict(here)["virtualHosts"][0]["domains"]
    assert "web" not in dump.to_dict(there)["virtualHosts"][0]["domains"]
