"""The names that a proxy's agent answers for, where it captures DNS: every host that the proxy may send requests to.

A service has its virtual address, a headless one the addresses of its pods. What has neither is left to the name server
of the network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from msgspec import Struct

from varka.model.services import Endpoint, Health, Service
from varka.model.view import OutboundView


class Name(Struct, frozen=True, kw_only=True):
    """What one host resolves to; `short` and `namespace` are those of a Kubernetes service."""

    addresses: tuple[str, ...]
    registry: str
    short: str = ""
    namespace: str = ""


def build(view: OutboundView) -> dict[str, Name]:
    """By host, which may begin with `*.`."""
    found: dict[str, Name] = {}
    for service in view.services:
        if service.external_name:
            continue
        kubernetes = service.registry == "Kubernetes"
        addresses = _own(service)
        if not addresses and service.headless:
            addresses = _of_pods(service, view)
            if kubernetes:
                found |= _pods_by_name(service, view)
        if addresses:
            found[service.hostname] = Name(
                addresses=addresses,
                registry=service.registry,
                short=service.name if kubernetes else "",
                namespace=service.namespace if kubernetes else "",
            )
    return {host: found[host] for host in sorted(found)}


def _own(service: Service) -> tuple[str, ...]:
    return tuple(address for address in service.addresses if _is_address(address))


def _is_address(text: str) -> bool:
    """Whether an address names one place; a block of them does not."""
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _serving(service: Service, view: OutboundView) -> list[Endpoint]:
    every = (endpoint for port in service.ports for endpoint in view.endpoints.get((service.hostname, port.number), ()))
    return [endpoint for endpoint in every if endpoint.health is Health.HEALTHY and _is_address(endpoint.address)]


def _of_pods(service: Service, view: OutboundView) -> tuple[str, ...]:
    return tuple(dict.fromkeys(endpoint.address for endpoint in _serving(service, view)))


def _pods_by_name(service: Service, view: OutboundView) -> Mapping[str, Name]:
    """Pods of a StatefulSet have names of their own below their service's."""
    found: dict[str, Name] = {}
    for endpoint in _serving(service, view):
        pod = endpoint.labels.get("statefulset.kubernetes.io/pod-name")
        if pod:
            found[f"{pod}.{service.hostname}"] = Name(
                addresses=(endpoint.address,), registry=service.registry, short=f"{pod}.{service.name}", namespace=service.namespace
            )
    return found
