"""Gateways that get in each other's way, and credentials that are not where their proxies look."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import messages
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message
from varka.model.discovery import hosts
from varka.resources.traffic import gateways as written

_DEFAULT = {"istio": "ingressgateway"}
"""The labels of the gateway that every installation has."""


def secrets(context: Context) -> Iterable[Message]:
    """Check that the Secret of every server is in the namespace of the gateway's pods; without Secrets at hand, nothing is said."""
    known = {secret.meta.key for secret in context.all("Secret")}
    if not known:
        return
    for gateway in context.all("Gateway"):
        namespaces = {pod.meta.namespace for pod in context.pods(gateway.spec.selector)}
        if gateway.spec.selector == _DEFAULT and not namespaces:
            namespaces = {context.snapshot.mesh.root_namespace}
        for index, server in enumerate(gateway.spec.servers):
            name = server.tls.credential_name if server.tls is not None else ""
            if name and not known.intersection(f"{where}/{name}" if where else name for where in namespaces):
                path = f"spec.servers[{index}].tls.credentialName"
                yield messages.REFERENCED_RESOURCE_NOT_FOUND.about(gateway, "credentialName", name, path=path)


def conflicts(context: Context) -> Iterable[Message]:
    """Check that no two Gateways of the same proxies serve the same host on the same port."""
    gateways = context.all("Gateway")
    for gateway in gateways:
        for index, server in enumerate(gateway.spec.servers):
            others = [other for other in gateways if other is not gateway and _overlaps(gateway, server, other)]
            if server.port is not None and others:
                yield messages.CONFLICTING_GATEWAYS.about(
                    gateway,
                    ",".join(sorted(other.meta.key for other in others)),
                    messages.labels(gateway.spec.selector),
                    server.port.number,
                    ",".join(server.hosts),
                    path=f"spec.servers[{index}]",
                )


def _overlaps(gateway: Read, server: written.Server, other: Read) -> bool:
    if gateway.spec.selector != other.spec.selector or server.port is None:
        return False
    for theirs in other.spec.servers:
        if theirs.port is None or theirs.port.number != server.port.number or theirs.bind != server.bind:
            continue
        if any(_same(mine, gateway.meta.namespace, host, other.meta.namespace) for mine in server.hosts for host in theirs.hosts):
            return True
    return False


def _same(left: str, left_namespace: str, right: str, right_namespace: str) -> bool:
    """Whether two hosts of servers are one, or one of them includes the other."""
    one, other = _split(left, left_namespace), _split(right, right_namespace)
    apart = one[0] != other[0] and "*" not in (one[0], other[0])
    return not apart and hosts.overlap(one[1], other[1])


def _split(host: str, namespace: str) -> tuple[str, str]:
    where, slash, name = host.partition("/")
    return (namespace if where == "." else where, name) if slash else ("*", host)
