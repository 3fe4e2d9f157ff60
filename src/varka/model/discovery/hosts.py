"""Host names, their short forms and wildcards, and the names of gateways, as resources of a namespace write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from varka.model.services import Hostname

T = TypeVar("T")

MESH = "mesh"
"""The gateway that stands for all sidecars."""


def qualified(host: str, namespace: str, domain: str) -> Hostname:
    """The full name of a host: a name without dots is a Service of the resource's own namespace."""
    name = host.lower()
    if not name or name == "*" or "." in name:
        return Hostname(name)
    return Hostname(f"{name}.{namespace}.svc.{domain}")


def of_service(name: str, namespace: str, domain: str) -> Hostname:
    """The host name of a Kubernetes Service."""
    return Hostname(f"{name}.{namespace}.svc.{domain}".lower())


def gateway(name: str, namespace: str) -> str:
    """`namespace/name` of a gateway; `mesh` stays; the old form `name.namespace.svc…` is understood."""
    if name == MESH:
        return MESH
    where, slash, rest = name.partition("/")
    if slash:
        return f"{namespace if where == '.' else where}/{rest}"
    short, dot, rest = name.partition(".")
    return f"{rest.partition('.')[0]}/{short}" if dot else f"{namespace}/{name}"


def covers(pattern: str, host: str) -> bool:
    """Whether a name or wildcard includes a name or another wildcard."""
    if pattern == "*" or pattern == host:
        return True
    return pattern.startswith("*") and (host[1:] if host.startswith("*") else host).endswith(pattern[1:]) and host != "*"


def overlap(left: str, right: str) -> bool:
    """Whether two names or wildcards have a host in common."""
    return covers(left, right) or covers(right, left)


def specificity(host: str) -> tuple[int, int]:
    """Sorts the most specific first: full names, then the longest wildcards."""
    return (1, -len(host)) if host.startswith("*") else (0, -len(host))


def most_specific(host: str, exact: Mapping[Hostname, T], wildcards: Iterable[tuple[Hostname, T]]) -> T | None:
    """What was filed under the host itself, else under the first wildcard that covers it; wildcards come longest first."""
    found = exact.get(Hostname(host))
    if found is not None:
        return found
    return next((value for pattern, value in wildcards if covers(pattern, host)), None)


def spiffe(trust_domain: str, namespace: str, account: str) -> str:
    """The SPIFFE ID of a service account."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{account}"
