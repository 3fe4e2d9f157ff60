"""Ports that do not say what they carry, and ServiceEntries that cannot be told apart without an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.analysis import catalog
from varka.analysis.context import SYSTEM_NAMESPACES, Context, Read
from varka.analysis.messages import Message
from varka.model.discovery import protocols
from varka.model.services import Protocol

_MANAGED = "gateway.istio.io/managed"
_BY_ADDRESS = {Protocol.TCP, Protocol.AUTO}
_CAPTURE, _ALLOCATE = "ISTIO_META_DNS_CAPTURE", "ISTIO_META_DNS_AUTO_ALLOCATE"


def names(context: Context) -> Iterable[Message]:
    """Check that Service ports name their protocol, by name or by appProtocol; the system's own Services are left alone."""
    for service in context.all("Service"):
        if service.meta.namespace in SYSTEM_NAMESPACES or _MANAGED in service.meta.labels or _control_plane(service):
            continue
        external = service.spec.spec.type == "ExternalName"
        for index, port in enumerate(service.spec.spec.ports):
            unknown = protocols.of_port(port.port, port.name, port.protocol, port.app_protocol) is Protocol.AUTO
            path = f"spec.ports[{index}].name" if port.name else f"spec.ports[{index}]"
            if external and (unknown or port.name == "tcp"):
                yield catalog.EXTERNAL_NAME_PORT.about(service, path=path)
            elif unknown:
                target = port.target_port if port.target_port is not None else port.port
                yield catalog.PORT_NAME.about(service, port.name, port.port, target, path=path)


def _control_plane(service: Read) -> bool:
    return "istio" in service.meta.labels or service.meta.labels.get("release") == "istio"


def addresses(context: Context) -> Iterable[Message]:
    """Check that a ServiceEntry with plain TCP has an address, its own or one that proxies allot: nothing else tells its connections from others."""
    config = context.surroundings.mesh_config.get("defaultConfig")
    metadata = config.get("proxyMetadata") if isinstance(config, Mapping) else None
    if isinstance(metadata, Mapping) and all(str(metadata.get(name)).lower() == "true" for name in (_CAPTURE, _ALLOCATE)):
        return
    for entry in context.all("ServiceEntry"):
        for index, port in enumerate(entry.spec.ports if not entry.spec.addresses else ()):
            if protocols.named(port.protocol) in _BY_ADDRESS:
                yield catalog.ADDRESSES_REQUIRED.about(entry, path=f"spec.ports[{index}]")
