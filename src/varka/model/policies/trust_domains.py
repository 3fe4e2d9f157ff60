"""The mesh's trust domain and its former names: a principal written with any of them means all of them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from varka.model.view import MeshSettings

LOCAL = "cluster.local"
"""Stands for the mesh's own trust domain, whatever that is called."""


class Domains(Struct, frozen=True, kw_only=True):
    """The names, the present one first."""

    own: str
    aliases: tuple[str, ...] = ()

    def expand(self, principals: Iterable[str]) -> tuple[str, ...]:
        """The principals under all names of their domain; those of foreign domains as they are."""
        result: list[str] = []
        for principal in principals:
            parts = principal.split("/")
            known = (self.own, *self.aliases)
            if len(parts) != 5 or not (parts[0] == LOCAL or any(matches(parts[0], domain) for domain in known)):
                result.append(principal)
                continue
            for domain in known:
                kept = parts[0].startswith("*") and matches(parts[0], domain)
                result.append(principal if kept else "/".join((domain, *parts[1:])))
        return tuple(dict.fromkeys(result))


def of(mesh: MeshSettings) -> Domains:
    """The names of a mesh."""
    return Domains(own=mesh.trust_domain, aliases=mesh.trust_domain_aliases)


def matches(pattern: str, value: str) -> bool:
    """Istio's `*`, `*suffix`, `prefix*` and exact forms."""
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
