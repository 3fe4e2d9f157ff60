"""Which mutual TLS settings a client and the services that it may call meet with.

The server's side comes from PeerAuthentication, the client's from DestinationRule; without one, the client's proxy
uses mutual TLS wherever the server has a proxy that takes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from varka.model import views
from varka.model.routing.visibility import selected
from varka.model.security import MutualTlsMode
from varka.model.services import Endpoint, Service
from varka.model.snapshot import Snapshot
from varka.model.traffic import DestinationRule, TlsMode
from varka.model.view import Proxy

NONE = "-"
TLS_MODE = "security.istio.io/tlsMode"
_SERVER = {MutualTlsMode.STRICT: "STRICT", MutualTlsMode.PERMISSIVE: "mTLS", MutualTlsMode.DISABLE: "HTTP"}
_CLIENT = {TlsMode.ISTIO_MUTUAL: "mTLS", TlsMode.DISABLE: "HTTP", TlsMode.SIMPLE: "TLS", TlsMode.MUTUAL: "TLS"}


class Agreement(Struct, frozen=True, kw_only=True):
    """One host and port as a client sees it; `-` for what says nothing."""

    host: str
    port: int
    status: str
    server: str
    client: str
    policy: str
    rule: str


def agreements(snapshot: Snapshot, client: Proxy) -> list[Agreement]:
    """One for each TCP port of each service that the client may call, by host and port."""
    view = views.view(snapshot, client).outbound
    found: dict[tuple[str, int], Agreement] = {}
    for service in view.services:
        rule = view.destination_rules.get(service.hostname)
        for port in service.ports:
            key = (str(service.hostname), port.number)
            if port.protocol.name != "UDP" and key not in found:
                found[key] = _agreement(snapshot, client, service, port.number, (view.endpoints.get((service.hostname, port.number), ()), rule))
    return [found[key] for key in sorted(found)]


def _agreement(snapshot: Snapshot, client: Proxy, service: Service, port: int, about: tuple[tuple[Endpoint, ...], DestinationRule | None]) -> Agreement:
    endpoints, rule = about
    members = [one for one in endpoints if one.labels.get(TLS_MODE) == "istio"]
    modes = {snapshot.peers.of(one.namespace, one.labels).of(one.port) for one in members}
    explicit = _explicit(rule, port)
    sidecar = client.labels.get(TLS_MODE) == "istio"
    if not sidecar:
        explicit = TlsMode.DISABLE
    server = next((text for mode, text in _SERVER.items() if mode in modes), NONE)
    if explicit is not None:
        spoken = _CLIENT[explicit] if members or (rule is not None and sidecar) else NONE
    else:
        spoken = NONE if not members else "HTTP" if modes == {MutualTlsMode.DISABLE} or not snapshot.mesh.enable_auto_mtls else "mTLS"
    servers = {_SERVER[mode] for mode in modes} | ({"HTTP"} if len(members) < len(endpoints) else set())
    automatic = explicit is None and snapshot.mesh.enable_auto_mtls
    conflict = not automatic and any(_conflict(one, spoken) for one in servers)
    policy = _policy(snapshot, members[0].namespace, members[0].labels) if members else NONE
    return Agreement(
        host=str(service.hostname),
        port=port,
        status="CONFLICT" if conflict else "OK",
        server=server,
        client=spoken,
        policy=policy,
        rule=f"{rule.name}/{rule.namespace}" if rule is not None else NONE,
    )


def _conflict(server: str, client: str) -> bool:
    return (server == "STRICT" and client in {"HTTP", "TLS"}) or (server == "HTTP" and client == "mTLS")


def _explicit(rule: DestinationRule | None, port: int) -> TlsMode | None:
    if rule is None:
        return None
    own = rule.policy.ports.get(port)
    tls = own.tls if own is not None and own.tls is not None else rule.policy.tls
    return tls.mode if tls is not None else None


def _policy(snapshot: Snapshot, namespace: str, labels: Mapping[str, str]) -> str:
    """Name and namespace of the most specific policy that applies."""
    level = snapshot.peers.namespaces.get(namespace)
    for policy in level.workloads if level is not None else ():
        if policy.spec is not None and policy.spec.selector is not None and selected(policy.spec.selector.match_labels, labels.items()):
            return f"{policy.meta.name}/{policy.meta.namespace}"
    general = (level.general if level is not None else None) or snapshot.peers.mesh
    return f"{general.meta.name}/{general.meta.namespace}" if general is not None else "default/"
