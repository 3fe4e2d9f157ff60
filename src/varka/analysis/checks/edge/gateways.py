"""Gateways that get in each other's way."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog, messages
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message
from varka.model.discovery import hosts
from varka.resources.traffic import gateways as written


def conflicts(context: Context) -> Iterable[Message]:
    """Check that no two Gateways of the same proxies serve the same host on the same port."""
    gateways = context.all("Gateway")
    pods = {selector: {pod.meta.key for pod in context.pods(dict(selector))} for selector in {_selector(one) for one in gateways}}
    for gateway in gateways:
        mine = _selector(gateway)
        rivals = [other for other in gateways if other is not gateway and (_selector(other) == mine or not pods[mine].isdisjoint(pods[_selector(other)]))]
        for index, server in enumerate(gateway.spec.servers):
            others = [other for other in rivals if _overlaps(gateway, server, other)]
            if server.port is not None and others:
                yield catalog.CONFLICTING_GATEWAYS.about(
                    gateway,
                    ",".join(sorted(other.meta.key for other in others)),
                    messages.labels(gateway.spec.selector),
                    server.port.number,
                    ",".join(server.hosts),
                    path=f"spec.servers[{index}]",
                )


def _selector(gateway: Read) -> frozenset[tuple[str, str]]:
    return frozenset(gateway.spec.selector.items())


def _overlaps(gateway: Read, server: written.Server, other: Read) -> bool:
    if server.port is None:
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
