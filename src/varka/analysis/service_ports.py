"""Ports that do not say what they carry, and ServiceEntries that cannot be told apart without an address."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import messages
from varka.analysis.context import SYSTEM_NAMESPACES, Context
from varka.analysis.messages import Message
from varka.model.discovery import protocols
from varka.model.services import Protocol

_MANAGED = "gateway.istio.io/managed"
_BY_HOST = {Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB, Protocol.HTTPS, Protocol.TLS, Protocol.UDP}


def names(context: Context) -> Iterable[Message]:
    """Check that Service ports name their protocol, by name or by appProtocol."""
    for service in context.all("Service"):
        if service.meta.namespace in SYSTEM_NAMESPACES or _MANAGED in service.meta.labels:
            continue
        for index, port in enumerate(service.spec.spec.ports):
            if protocols.of_port(port.port, port.name, port.protocol, port.app_protocol) is Protocol.AUTO:
                target = port.target_port if port.target_port is not None else port.port
                yield messages.PORT_NAME.about(service, port.name, port.port, target, path=f"spec.ports[{index}].name")


def addresses(context: Context) -> Iterable[Message]:
    """Check that a ServiceEntry with plain TCP has an address: nothing else tells its connections from others."""
    for entry in context.all("ServiceEntry"):
        if entry.spec.addresses:
            continue
        for index, port in enumerate(entry.spec.ports):
            if protocols.named(port.protocol) not in _BY_HOST:
                yield messages.ADDRESSES_REQUIRED.about(entry, path=f"spec.ports[{index}]")
                break
