"""Services of type ExternalName that point at another service of the mesh: they are names of it, and nothing of their own.

An ExternalName whose target is no service stays a service: its host is resolved by DNS.
"""

from __future__ import annotations

from collections.abc import Iterable

from varka.model.services import Hostname, Service

MAX_STEPS = 10
"""Aliases of aliases are followed so far."""


def find(services: Iterable[Service]) -> dict[Hostname, Hostname]:
    """By alias the host of the service that it stands for; circles and names of the outside are left out."""
    given = tuple(services)
    real = {service.hostname for service in given if not service.external_name}
    pointing = {service.hostname: Hostname(service.external_name.lower().removesuffix(".")) for service in given if service.external_name}
    found: dict[Hostname, Hostname] = {}
    for alias in pointing:
        target, steps = pointing[alias], 0
        while target not in real and target in pointing and steps < MAX_STEPS:
            target, steps = pointing[target], steps + 1
        if target in real and alias not in real:
            found[alias] = target
    return found
