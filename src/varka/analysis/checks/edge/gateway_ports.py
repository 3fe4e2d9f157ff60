"""Gateways whose proxies are not there, or whose ports no Service leads to."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog, messages
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message
from varka.model.routing import visibility


def analyze(context: Context) -> Iterable[Message]:
    """Check selector and ports of every Gateway."""
    for gateway in context.all("Gateway"):
        selector = gateway.spec.selector
        pods = context.pods(selector)
        if not pods:
            yield catalog.REFERENCED_RESOURCE_NOT_FOUND.about(gateway, "selector", messages.labels(selector), path="spec.selector")
            continue
        ports = _ports(context, pods)
        if not ports:
            continue
        for index, server in enumerate(gateway.spec.servers):
            if server.port is not None and server.port.number not in ports:
                path = f"spec.servers[{index}].port.number"
                yield catalog.GATEWAY_PORT_NOT_ON_SERVICE.about(gateway, server.port.number, messages.labels(selector), path=path)


def _ports(context: Context, pods: list[Read]) -> set[int]:
    """Ports of the Services in front of some pods, and the ports behind them."""
    found: set[int] = set()
    for service in context.all("Service"):
        selector = service.spec.spec.selector
        here = [pod for pod in pods if pod.meta.namespace == service.meta.namespace]
        if selector and any(visibility.selected(selector, pod.meta.labels.items()) for pod in here):
            for port in service.spec.spec.ports:
                found.add(port.port)
                if isinstance(port.target_port, int):
                    found.add(port.target_port)
    return found
