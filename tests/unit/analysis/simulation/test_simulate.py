from __future__ import annotations

from msgspec.structs import replace
from tests.builders import views

from varka.analysis.simulation import configuration, simulate
from varka.analysis.simulation.call import Call, Direction, Protocol, Security
from varka.analysis.simulation.result import Answer, Failure, Stage
from varka.envoy import generate
from varka.model import services
from varka.model.security import MutualTls, MutualTlsMode
from varka.model.traffic import HttpMatch, HttpRoute, MatchKind, Mirror, Redirect, Rewrite, StringMatch
from varka.model.view import ProxyView

VIP = "10.96.0.10"


def client(*http: HttpRoute, **mesh: object) -> configuration.Configuration:
    """The configuration of a sidecar that knows `web`, with rules for it."""
    web = views.service("web", {9080: services.Protocol.HTTP, 9000: services.Protocol.TCP, 9443: services.Protocol.TLS}, address=VIP)
    rules = (views.rules("web", *http),) if http else ()
    seen = views.outbound([web], [views.endpoint(web, port.number) for port in web.ports], virtual_services=rules)
    return of(views.view(views.sidecar(), seen, mesh=replace(views.MESH, **mesh)))


def of(view: ProxyView) -> configuration.Configuration:
    """What a proxy with this view gets."""
    return configuration.of_generated(generate.generate(view))


def server(mode: MutualTlsMode) -> configuration.Configuration:
    """The configuration of the sidecar of `web`."""
    web = views.service("web", {9080: services.Protocol.HTTP}, address=VIP)
    return of(views.view(views.sidecar("web"), views.outbound([]), [web], mutual_tls=MutualTls(mode=mode)))


def path(prefix: str) -> HttpMatch:
    """Paths with a prefix."""
    return HttpMatch(uri=StringMatch(kind=MatchKind.PREFIX, value=prefix))


def test_a_request_reaches_its_service() -> None:
    """Listener, routes, virtual host and cluster are those that Istio names."""
    result = simulate.run(client(), Call(port=9080, address=VIP, host="web"))
    assert (result.listener, result.route_config, result.virtual_host) == ("0.0.0.0_9080", "9080", "web.default.svc.cluster.local:9080")
    assert (result.cluster, result.failure) == ("outbound|9080||web.default.svc.cluster.local", None)
    assert [step.stage for step in result.steps] == [
        Stage.LISTENER,
        Stage.LISTENER_FILTERS,
        Stage.FILTER_CHAIN,
        Stage.ROUTE_CONFIG,
        Stage.VIRTUAL_HOST,
        Stage.ROUTE,
        Stage.DESTINATION,
    ]


def test_a_port_in_the_host_is_ignored() -> None:
    """`web:9080` finds the virtual host of `web`."""
    assert simulate.run(client(), Call(port=9080, address=VIP, host="web:9080")).virtual_host == "web.default.svc.cluster.local:9080"


def test_shares_and_copies() -> None:
    """Weighted destinations are told with their shares, mirrors beside them, and clusters that do not exist are marked."""
    rule = HttpRoute(
        destinations=(views.to("web", port=9080, weight=75), views.to("web", subset="v2", port=9080, weight=25)),
        mirrors=(Mirror(destination=views.to("web", port=9000).destination, percentage=50.0),),
    )
    result = simulate.run(client(rule), Call(port=9080, address=VIP, host="web"))
    assert [(target.share, target.found) for target in result.targets] == [(75.0, True), (25.0, False)]
    assert [(target.cluster, target.share) for target in result.mirrors] == [("outbound|9000||web.default.svc.cluster.local", 50.0)]


def test_a_rewrite_is_told() -> None:
    """The matched prefix is replaced, and the query stays."""
    rule = HttpRoute(matches=(path("/old/"),), rewrite=Rewrite(uri="/new/", authority="other"), destinations=(views.to("web", port=9080),))
    result = simulate.run(client(rule), Call(port=9080, address=VIP, host="web", path="/old/x?y=1"))
    assert (result.rewritten.path, result.rewritten.host) == ("/new/x?y=1", "other")


def test_a_redirect_is_answered() -> None:
    """A redirect has a status and a location, and no cluster."""
    rule = HttpRoute(matches=(path("/old"),), redirect=Redirect(uri="/new", code=302))
    result = simulate.run(client(rule), Call(port=9080, address=VIP, host="web", path="/old/x"))
    assert (result.answer, result.cluster) == (Answer(status=302, location="http://web/new"), "")


def test_no_route() -> None:
    """A request that no rule is for names each rule that it passed."""
    result = simulate.run(client(HttpRoute(matches=(path("/a"),), destinations=(views.to("web"),))), Call(port=9080, address=VIP, host="web"))
    assert result.failure is Failure.NO_ROUTE
    assert "path is not prefix /a" in result.steps[-1].reason


def test_unknown_hosts_in_a_closed_mesh() -> None:
    """REGISTRY_ONLY answers 502 to requests and drops connections."""
    closed = client(outbound_registry_only=True)
    assert simulate.run(closed, Call(port=9080, address="1.2.3.4", host="example.com")).answer == Answer(status=502)
    assert simulate.run(closed, Call(port=1234, address="1.2.3.4", protocol=Protocol.TCP)).cluster == "BlackHoleCluster"


def test_bytes_go_by_address() -> None:
    """A TCP port is told by the address dialled."""
    result = simulate.run(client(), Call(port=9000, address=VIP, protocol=Protocol.TCP))
    assert (result.listener, result.cluster) == ("10.96.0.10_9000", "outbound|9000||web.default.svc.cluster.local")


def test_strict_and_plain() -> None:
    """Plain bytes find no chain where mutual TLS is asked for; foreign TLS fails in the handshake."""
    call = Call(port=9080, direction=Direction.INBOUND, host="web")
    assert simulate.run(server(MutualTlsMode.STRICT), call).failure is Failure.NO_FILTER_CHAIN
    assert simulate.run(server(MutualTlsMode.STRICT), replace(call, security=Security.TLS)).failure is Failure.MTLS_ERROR
    assert simulate.run(server(MutualTlsMode.STRICT), replace(call, security=Security.MTLS)).cluster == "inbound|9080||"
    assert simulate.run(server(MutualTlsMode.PERMISSIVE), call).cluster == "inbound|9080||"


def test_bytes_on_a_port_of_no_service_without_mtls() -> None:
    """With mTLS switched off, bytes that are not HTTP pass on a port that no service points at."""
    call = Call(port=7777, direction=Direction.INBOUND, protocol=Protocol.TCP)
    assert simulate.run(server(MutualTlsMode.DISABLE), call).cluster == "InboundPassthroughCluster"
    assert simulate.run(server(MutualTlsMode.DISABLE), replace(call, security=Security.TLS)).cluster == "InboundPassthroughCluster"


def test_what_is_not_http_where_http_is_read() -> None:
    """Bytes on an HTTP port of the application are an error of protocol."""
    call = Call(port=9080, direction=Direction.INBOUND, protocol=Protocol.TCP)
    assert simulate.run(server(MutualTlsMode.PERMISSIVE), call).failure is Failure.PROTOCOL_ERROR


def test_plain_values() -> None:
    """The result as plain values has everything that the steps say."""
    found = simulate.run(client(), Call(port=9080, address=VIP, host="web")).as_dict()
    assert found["clusters"] == [{"name": "outbound|9080||web.default.svc.cluster.local", "percent": 100.0, "found": True}]
    assert (found["error"], len(found["steps"])) == (None, 7)
