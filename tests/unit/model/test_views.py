from __future__ import annotations

from msgspec.structs import replace
from tests.builders.meshobjects import Object, endpoint_slice, istio, pod, proxy, service, snapshot_of

from varka import resources
from varka.model import inputs, mesh_settings, proxies, snapshot, views
from varka.model.security import Authorizer, MutualTlsMode
from varka.model.services import Hostname

WEB = Hostname("web.default.svc.cluster.local")


def _hosts(view: object) -> list[str]:
    return [item.hostname for item in view.outbound.services]  # type: ignore[attr-defined]


def test_proxies_of_equal_scope_share_the_outbound_half() -> None:
    """Two workloads of one namespace have the very same outbound view."""
    made = snapshot_of(service("web"), service("db"))
    assert views.view(made, proxy("web")).outbound is views.view(made, proxy("db", "10.0.0.2")).outbound


def test_export_to_hides_services() -> None:
    """A Service that is not exported to a namespace is not seen there, nor are its endpoints."""
    private = service("web", annotations={"networking.istio.io/exportTo": "."})
    made = snapshot_of(private, endpoint_slice("web", "10.0.0.1"), service("db", namespace="team"))
    assert _hosts(views.view(made, proxy("db", namespace="team"))) == ["db.team.svc.cluster.local"]
    ours = views.view(made, proxy("x")).outbound
    assert [item.hostname for item in ours.services] == ["db.team.svc.cluster.local", WEB]
    assert list(ours.endpoints) == [(WEB, 80)]


def test_sidecar_limits_what_is_seen() -> None:
    """A Sidecar leaves the hosts that it lists, and those that visible routes lead to."""
    scope = istio("Sidecar", "s", {"egress": [{"hosts": ["./*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})
    route = istio("VirtualService", "v", {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "db.team.svc.cluster.local"}}]}]})
    others = [service("web"), service("db", namespace="team"), service("far", namespace="team")]
    view = views.view(snapshot_of(scope, route, *others), proxy("web"))
    assert _hosts(view) == ["db.team.svc.cluster.local", WEB]
    assert view.mesh.outbound_registry_only


def test_inbound_ports() -> None:
    """A workload serves the ports of the services that select it; names of ports are looked up in its pod."""
    ports = ({"name": "http", "port": 80, "targetPort": "web"}, {"name": "dns", "port": 53, "protocol": "UDP"})
    containers = [{"name": "app", "ports": [{"name": "web", "containerPort": 8080}]}]
    made = snapshot_of(service("web", *ports), service("db"), pod("web", "10.0.0.1", containers=containers))
    assert [(item.service.name, item.service_port.number, item.target_port) for item in views.view(made, proxy("web")).inbound] == [("web", 80, 8080)]


def test_policies() -> None:
    """A view has the policies of the root namespace and of its own, as far as they select the workload."""
    rules = {"rules": [{"from": [{"source": {"principals": ["p"], "serviceAccounts": ["sa"]}}]}]}
    made = snapshot_of(
        istio("AuthorizationPolicy", "mine", {**rules, "selector": {"matchLabels": {"app": "web"}}}),
        istio("AuthorizationPolicy", "other", {"selector": {"matchLabels": {"app": "db"}}}),
        istio("AuthorizationPolicy", "root", {"action": "DENY", **rules}, namespace="istio-system"),
        istio("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}}, namespace="istio-system"),
    )
    view = views.view(made, proxy("web"))
    assert [item.name for item in view.authorization] == ["root", "mine"]
    assert view.authorization[1].rules[0].sources[0].service_accounts == ("default/sa",)
    assert view.mutual_tls.of(80) is MutualTlsMode.STRICT


def test_gateway() -> None:
    """A gateway proxy serves the Gateways that select it, on the ports behind its Service, with the routes that fit."""
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["default/*.org"]}
    objects = [
        service("gw", {"name": "http", "port": 80, "targetPort": 8080}, namespace="edge"),
        istio("Gateway", "g", {"selector": {"app": "gw"}, "servers": [server]}),
        istio("Gateway", "unrelated", {"selector": {"app": "x"}, "servers": [server]}),
        istio("VirtualService", "fits", {"hosts": ["a.org"], "gateways": ["g"], "http": [{"redirect": {"uri": "/"}}]}),
        istio("VirtualService", "host", {"hosts": ["a.com"], "gateways": ["g"], "http": [{"redirect": {"uri": "/"}}]}),
        istio("VirtualService", "namespace", {"hosts": ["a.org"], "gateways": ["default/g"], "http": []}, namespace="team"),
    ]
    (binding,) = views.view(snapshot_of(*objects), proxy("gw", namespace="edge", kind="router")).gateways
    assert (binding.server.gateway, binding.server.port, binding.server.target_port) == ("default/g", 80, 8080)
    assert [item.name for item in binding.virtual_services] == ["fits"]


def test_an_endpoint_change_leaves_the_rest_alone() -> None:
    """After one EndpointSlice changed, only the endpoints of its service are other objects, even generations later."""
    route = istio("VirtualService", "v", {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]})
    rule = istio("DestinationRule", "d", {"host": "web"})
    objects = [service("web"), service("db"), endpoint_slice("web", "10.0.0.1"), endpoint_slice("db", "10.0.1.1"), route, rule]
    first = snapshot_of(*objects)
    before = views.view(first, proxy("web"))
    again = snapshot.build(first.inputs, first)
    assert views.view(again, proxy("web")).outbound is before.outbound
    slices = (resources.parse(endpoint_slice("web", "10.0.0.1", "10.0.0.2")), first.inputs.endpoint_slices[1])
    third = snapshot.build(replace(first.inputs, endpoint_slices=slices), again)
    after = views.view(third, proxy("web"))
    assert after.outbound.services is before.outbound.services
    assert after.outbound.virtual_services is before.outbound.virtual_services
    assert after.outbound.destination_rules is before.outbound.destination_rules
    assert after.inbound is before.inbound
    assert [key[0] for key, found in after.outbound.endpoints.items() if found is not before.outbound.endpoints[key]] == [WEB]


def test_result_does_not_depend_on_the_snapshot_before() -> None:
    """Built from scratch or from an earlier one, a snapshot gives an equal view."""
    first = snapshot_of(service("web"), endpoint_slice("web", "10.0.0.1"), pod("web", "10.0.0.1"))
    more = inputs.of([*(resources.parse(item) for item in (service("web"), endpoint_slice("web", "10.0.0.1"), pod("web", "10.0.0.1"), service("db")))])
    assert views.view(snapshot.build(more, first), proxy("web")) == views.view(snapshot.build(more), proxy("web"))


def test_node_id() -> None:
    """A node ID of another form is no proxy."""
    assert proxies.parse("sidecar~1.2.3.4~web", {}) is None
    found = proxies.parse("router~1.2.3.4~gw.edge~edge.svc.cluster.local", {"LABELS": {"app": "gw"}, "WORKLOAD_NAME": "gw", "OTHER": "x"})
    assert found is not None
    assert (found.name, found.namespace, found.labels, found.workload) == ("gw", "edge", {"app": "gw"}, "gw")


def asked(*scope: Object, port: int = 80) -> Authorizer | None:
    """Whom the CUSTOM policy of a workload asks, in its view."""
    policy = istio("AuthorizationPolicy", "ask", {"action": "CUSTOM", "provider": {"name": "ext"}, "rules": [{}]})
    provider = {"name": "ext", "envoyExtAuthzGrpc": {"service": "auth/ext.auth.svc.cluster.local", "port": port}}
    mesh, _ = mesh_settings.of({"extensionProviders": [provider]})
    (found,) = views.view(snapshot_of(service("ext", namespace="auth"), policy, *scope, mesh=mesh), proxy("web")).authorization
    return found.authorizer


def test_custom_policies_have_their_authorizer() -> None:
    """It is there if the proxy can reach its service and port, which a Sidecar need not list."""
    found = asked()
    assert found is not None
    assert (found.host, found.port) == ("ext.auth.svc.cluster.local", 80)
    assert asked(istio("Sidecar", "s", {"egress": [{"hosts": ["./*"]}]})) == found
    assert asked(port=81) is None
