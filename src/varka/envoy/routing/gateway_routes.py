"""Route configurations of a gateway: one for all plain HTTP servers of a port (`http.8080`), one for each HTTPS server.

The hosts of a configuration are those that both a server and a VirtualService bound to it name. Several VirtualServices
may share a host: their rules follow one another, oldest VirtualService first, and a rule for all requests comes last
whichever VirtualService it is from.
"""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3 import route_components_pb2
from msgspec import Struct, field

from varka.base.wire import WireResource
from varka.envoy import memo
from varka.envoy.routing import routes, virtual_hosts
from varka.model.traffic import GatewayServer, VirtualService
from varka.model.view import GatewayBinding, MeshSettings, OutboundView, ProxyView

_configurations: memo.Memo[WireResource] = memo.Memo(4096)


def route_name(server: GatewayServer) -> str:
    """`http.8080`, or `https.443.https.gateway.namespace` for a server that decrypts."""
    if not decrypts(server):
        return f"http.{server.target_port}"
    namespace, _, gateway = server.gateway.partition("/")
    return f"https.{server.port}.{server.port_name}.{gateway}.{namespace}"


def decrypts(server: GatewayServer) -> bool:
    """Whether the server takes HTTPS and reads the requests in it."""
    return server.tls is not None and server.tls.mode is not None and server.tls.mode.value not in {"PASSTHROUGH", "AUTO_PASSTHROUGH"}


def reads_http(server: GatewayServer) -> bool:
    """Whether the server routes requests rather than connections."""
    return server.protocol.is_http or (server.protocol.value == "HTTPS" and decrypts(server))


def build(view: ProxyView) -> list[WireResource]:
    """The route configurations that the gateway's listeners ask for, in order of name."""
    groups: dict[str, list[GatewayBinding]] = {}
    for binding in view.gateways:
        if reads_http(binding.server):
            groups.setdefault(route_name(binding.server), []).append(binding)
    return [_of_group(name, groups[name], view) for name in sorted(groups)]


def _of_group(name: str, bindings: list[GatewayBinding], view: ProxyView) -> WireResource:
    origin = _origin(view.outbound, view.mesh, view, bindings[0].server)
    objects: list[object] = [view.mesh]
    for binding in bindings:
        objects.append(binding.server)
        for rules in binding.virtual_services:
            objects += virtual_hosts.dependencies(origin, rules)
    key = (name, view.proxy.namespace, tuple(sorted(view.proxy.labels.items())))
    return _configurations.get(tuple(objects), key, lambda: _assemble(name, bindings, view))


def _origin(view: OutboundView, mesh: MeshSettings, proxy_view: ProxyView, server: GatewayServer) -> virtual_hosts.Origin:
    return virtual_hosts.Origin(
        view=view,
        mesh=mesh,
        services=virtual_hosts.index(view),
        port=server.port,
        gateway=server.gateway,
        namespace=proxy_view.proxy.namespace,
        labels=proxy_view.proxy.labels,
    )


class _Host(Struct):
    """A virtual host in the making; `redirects` when any server of the host wants HTTPS."""

    port: int
    rules: list[Any] = field(default_factory=list)
    last: Any = None
    """The first rule for all requests: what comes after it would never be reached."""
    redirects: bool = False

    def add(self, rules: list[Any]) -> None:
        """Put the rules of one more VirtualService in."""
        for rule in rules:
            if not _unconditional(rule):
                self.rules.append(rule)
            elif self.last is None:
                self.last = rule

    @property
    def ordered(self) -> list[Any]:
        return self.rules if self.last is None else [*self.rules, self.last]


def _assemble(name: str, bindings: list[GatewayBinding], view: ProxyView) -> WireResource:
    hosts: dict[str, _Host] = {}
    for binding in bindings:
        origin = _origin(view.outbound, view.mesh, view, binding.server)
        redirects = binding.server.tls is not None and binding.server.tls.https_redirect and not decrypts(binding.server)
        for rules in binding.virtual_services:
            for host in shared_hosts(binding.server, rules):
                entry = hosts.setdefault(host, _Host(port=binding.server.port))
                entry.redirects = entry.redirects or redirects
                entry.add(virtual_hosts.routes(origin, rules))
        if redirects:
            for host in server_hosts(binding.server):
                hosts.setdefault(host, _Host(port=binding.server.port)).redirects = True
    parts = [_part(host, hosts[host]) for host in sorted(hosts, key=_most_specific)]
    if not parts:
        parts = [_nothing_here(bindings[0].server.port)]
    return routes.assemble(name, parts)


def _unconditional(rule: Any) -> bool:
    match = rule.match
    everything = match.prefix == "/" or match.safe_regex.regex in {".*", "*"}
    return bool(everything and not match.headers and not match.query_parameters and not match.dynamic_metadata)


def _most_specific(host: str) -> tuple[bool, int, str]:
    return host.startswith("*"), -len(host), host


def _part(host: str, entry: _Host) -> routes.Part:
    message = virtual_hosts.virtual_host(f"{host}:{entry.port}", (host,), entry.ordered, inside=True)
    if entry.redirects:
        message.require_tls = route_components_pb2.VirtualHost.ALL
        if not entry.ordered:
            message.routes.append(_not_found())
    return routes.Part(name=message.name, domains=(host,), message=message, body=message.SerializeToString(deterministic=True))


def _not_found() -> Any:
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"))
    route.direct_response.status = 404
    return route


def _nothing_here(port: int) -> routes.Part:
    """Without a VirtualService a gateway answers 404, rather than having its listener wait for routes."""
    message = virtual_hosts.virtual_host(f"blackhole:{port}", ("*",), [], inside=False)
    message.routes.append(_not_found())
    return routes.Part(name=message.name, domains=("*",), message=message, body=message.SerializeToString(deterministic=True))


def server_hosts(server: GatewayServer) -> tuple[str, ...]:
    """The server's hosts without the namespaces that VirtualServices may come from."""
    return tuple(dict.fromkeys(host.rpartition("/")[2] for host in server.hosts)) or ("*",)


def shared_hosts(server: GatewayServer, rules: VirtualService) -> list[str]:
    """Hosts of the VirtualService that the server serves, the narrower name of each pair."""
    allowed: list[str] = []
    for text in server.hosts or ("*",):
        namespace, slash, host = text.rpartition("/")
        own = server.gateway.partition("/")[0]
        if slash and namespace not in {"*", rules.namespace} and not (namespace == "." and rules.namespace == own):
            continue
        allowed.append(host)
    return list(dict.fromkeys(common for host in rules.hosts for server_host in allowed if (common := _narrower(host, server_host))))


def _narrower(a: str, b: str) -> str:
    """The more specific of two host patterns when one covers the other, else nothing."""
    if _covers(a, b):
        return b
    return a if _covers(b, a) else ""


def _covers(pattern: str, host: str) -> bool:
    if pattern in {"*", host}:
        return True
    return pattern.startswith("*") and host.removeprefix("*").endswith(pattern[1:]) and len(host) > len(pattern) - 1
