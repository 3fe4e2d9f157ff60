"""exportTo: which namespaces may see a resource."""

from __future__ import annotations

from collections.abc import Iterable

PUBLIC = frozenset({"*"})
NOBODY = frozenset({"~"})


def export_to(values: Iterable[str], namespace: str, default: frozenset[str]) -> frozenset[str]:
    """Namespaces, or `*`, or `~`; `.` becomes the resource's own namespace, and nothing given means the mesh's default."""
    given = frozenset(value.strip() for value in values if value.strip()) or default
    if "*" in given:
        return PUBLIC
    if "~" in given:
        return NOBODY
    return frozenset(namespace if value == "." else value for value in given)


def visible(exported: frozenset[str], namespace: str) -> bool:
    """Whether a proxy of this namespace may see what is exported so."""
    return "*" in exported or namespace in exported


def selected(selector: dict[str, str] | None, labels: Iterable[tuple[str, str]]) -> bool:
    """Whether labels carry all that a selector asks for; an empty selector takes everything."""
    return not selector or set(selector.items()) <= set(labels)
