"""The way of one call through one proxy."""

from __future__ import annotations

import re
from typing import Any

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from msgspec import Struct, field

from varka.analysis.simulation import actions, filter_chains, listeners, routes, virtual_hosts
from varka.analysis.simulation.call import Call, Security
from varka.analysis.simulation.configuration import Configuration
from varka.analysis.simulation.result import Answer, Failure, Result, Stage, Step, Target

_MANAGER = "envoy.filters.network.http_connection_manager"
_TCP_PROXY = "envoy.filters.network.tcp_proxy"
_SNI_CLUSTER = "envoy.filters.network.sni_cluster"
_AUTHORITY = re.compile(r"[-A-Za-z0-9._~!$&'()*+,;=:@%\[\]]*")
"""What Envoy lets pass as a Host header."""
_TLS_SOCKETS = {"envoy.transport_sockets.tls"}


class _Walk(Struct):
    """What is known so far; `fields` are those of the result."""

    configuration: Configuration
    call: Call
    steps: list[Step] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    def step(self, stage: Stage, chosen: str, reason: str) -> None:
        self.steps.append(Step(stage=stage, chosen=chosen, reason=reason))

    def result(self, failure: Failure | None = None) -> Result:
        return Result(**self.fields, failure=failure, steps=tuple(self.steps))


def run(configuration: Configuration, call: Call) -> Result:
    """Where the call goes, or why it goes nowhere."""
    walk = _Walk(configuration=configuration, call=call.completed())
    listener, step = listeners.choose(configuration, walk.call)
    walk.steps.append(step)
    if listener is None:
        return walk.result(Failure.NO_LISTENER)
    walk.fields["listener"] = listener.name
    connection, step = listeners.inspect(listener, walk.call)
    walk.steps.append(step)
    chain, failure, step = filter_chains.choose(listener, connection)
    walk.steps.append(step)
    if chain is None:
        return walk.result(failure)
    walk.fields["filter_chain"] = chain.name
    context = tls_context(chain)
    failure = _handshake(walk, context)
    if failure is not None:
        return walk.result(failure)
    return _through(walk, chain, decrypted=context is not None)


def tls_context(chain: Any) -> Any:
    """How a chain takes TLS; None when it reads bytes as they come."""
    if not chain.HasField("transport_socket") or chain.transport_socket.name not in _TLS_SOCKETS:
        return None
    context = tls_pb2.DownstreamTlsContext()
    chain.transport_socket.typed_config.Unpack(context)
    return context


def certificate_of(context: Any) -> str:
    """The name of the server's certificate: its secret, or its file."""
    common = context.common_tls_context
    for secret in common.tls_certificate_sds_secret_configs:
        return str(secret.name)
    for certificate in common.tls_certificates:
        return str(certificate.certificate_chain.filename)
    return ""


def _handshake(walk: _Walk, context: Any) -> Failure | None:
    call = walk.call
    if context is None:
        return None
    name = certificate_of(context)
    if not call.encrypted:
        walk.step(Stage.TLS, "", f"the chain speaks TLS with the certificate {name!r}; the client sends plain bytes")
        return Failure.TLS_ERROR
    asks = context.require_client_certificate.value
    if call.security is Security.TLS and asks:
        walk.step(Stage.TLS, "", f"the chain asks for a certificate of the client (its own is {name!r}), which sends none")
        return Failure.MTLS_ERROR
    if call.security is Security.MTLS and (not asks or name != call.credentials):
        what = f"shows {name!r}" if asks else f"shows {name!r} and asks for no certificate"
        walk.step(Stage.TLS, "", f"the client expects the server that goes with {call.credentials!r}; the chain {what}")
        return Failure.MTLS_ERROR
    walk.step(Stage.TLS, name, "client and server agree on mutual TLS" if call.security is Security.MTLS else "the server shows its certificate")
    return None


def _through(walk: _Walk, chain: Any, decrypted: bool) -> Result:
    """The network filters of a chain."""
    by_server_name = any(item.name == _SNI_CLUSTER for item in chain.filters)
    for item in chain.filters:
        if item.name == _MANAGER or item.typed_config.Is(http_connection_manager_pb2.HttpConnectionManager.DESCRIPTOR):
            manager = http_connection_manager_pb2.HttpConnectionManager()
            item.typed_config.Unpack(manager)
            return _http(walk, manager, decrypted)
        if item.name == _TCP_PROXY or item.typed_config.Is(tcp_proxy_pb2.TcpProxy.DESCRIPTOR):
            proxy = tcp_proxy_pb2.TcpProxy()
            item.typed_config.Unpack(proxy)
            return _tcp(walk, proxy, by_server_name)
    walk.step(Stage.DESTINATION, "", "the chain passes connections on to nothing")
    return walk.result()


def _tcp(walk: _Walk, proxy: Any, by_server_name: bool) -> Result:
    clusters = walk.configuration.clusters
    if by_server_name and walk.call.sni:
        found: tuple[Target, ...] = (Target(cluster=walk.call.sni, found=walk.call.sni in clusters),)
    else:
        found = actions.targets(proxy, clusters)
    walk.fields["targets"] = found
    walk.step(Stage.DESTINATION, _shares(found), "bytes are passed on as they are")
    return walk.result()


def _shares(found: tuple[Target, ...]) -> str:
    def words(target: Target) -> str:
        share = f" {target.share:g} %" if len(found) > 1 else ""
        return f"{target.cluster}{share}{'' if target.found else ' (no such cluster)'}"

    return ", ".join(words(target) for target in found)


def _http(walk: _Walk, manager: Any, decrypted: bool) -> Result:
    call = walk.call
    if call.encrypted and not decrypted:
        walk.step(Stage.ROUTE_CONFIG, "", "requests are read here, but the client sends TLS that nobody opens")
        return walk.result(Failure.PROTOCOL_ERROR)
    if not call.is_http:
        walk.step(Stage.ROUTE_CONFIG, "", "requests are read here, but the client does not speak HTTP")
        return walk.result(Failure.PROTOCOL_ERROR)
    if not _AUTHORITY.fullmatch(call.host):
        walk.fields["answer"] = Answer(status=400)
        walk.step(Stage.ROUTE_CONFIG, "", "the Host header has characters that no host name has; an international name is sent in its ASCII form")
        return walk.result()
    config = _route_config(walk, manager)
    if config is None:
        return walk.result(Failure.NO_VIRTUAL_HOST)
    host, step = virtual_hosts.choose(config, call.host)
    walk.steps.append(step)
    if host is None:
        return walk.result(Failure.NO_VIRTUAL_HOST)
    walk.fields["virtual_host"] = host.name
    asked = routes.request(call, decrypted)
    if host.require_tls == route_components_pb2.VirtualHost.ALL and not decrypted:
        walk.fields["answer"] = Answer(status=301, location=f"https://{call.host}{call.path}")
        walk.step(Stage.VIRTUAL_HOST, host.name, "it asks for https, and the request came in the clear: the client is sent there")
        return walk.result(Failure.TLS_REDIRECT)
    route, step = routes.choose(host, asked)
    walk.steps.append(step)
    if route is None:
        return walk.result(Failure.NO_ROUTE)
    walk.fields["route"] = route.name
    return _act(walk, route, asked)


def _route_config(walk: _Walk, manager: Any) -> Any:
    if manager.WhichOneof("route_specifier") == "route_config":
        walk.step(Stage.ROUTE_CONFIG, manager.route_config.name, "it stands in the listener")
        return manager.route_config
    name = manager.rds.route_config_name
    walk.fields["route_config"] = name
    found = walk.configuration.routes.get(name)
    reason = "the listener names it" if found is not None else "the listener names it, but the proxy does not have it: requests wait for it"
    walk.step(Stage.ROUTE_CONFIG, name if found is not None else "", reason)
    return found


def _act(walk: _Walk, route: Any, asked: routes.Request) -> Result:
    kind = route.WhichOneof("action")
    if kind == "redirect":
        answer = actions.redirect(route.match, route.redirect, asked)
        walk.step(Stage.DESTINATION, "", f"the proxy answers {answer.status} and sends the client to {answer.location}")
        walk.fields["answer"] = answer
    elif kind == "direct_response":
        answer = Answer(status=route.direct_response.status)
        walk.step(Stage.DESTINATION, "", f"the proxy answers {answer.status} by itself")
        walk.fields["answer"] = answer
    elif kind == "route":
        clusters = walk.configuration.clusters
        found = actions.targets(route.route, clusters)
        copies = actions.mirrors(route.route, clusters)
        changed = actions.rewritten(route.match, route.route, asked)
        walk.fields.update(targets=found, mirrors=copies, rewritten=changed)
        walk.step(Stage.DESTINATION, _shares(found), _forwarding(changed, copies))
    return walk.result()


def _forwarding(changed: Any, copies: tuple[Target, ...]) -> str:
    words = ["the request is forwarded"]
    if changed.path:
        words.append(f"with the path {changed.path}")
    if changed.host:
        words.append(f"with the host {changed.host}")
    if copies:
        words.append(f"and copied to {', '.join(f'{copy.cluster} ({copy.share:g} %)' for copy in copies)}")
    return " ".join(words)
