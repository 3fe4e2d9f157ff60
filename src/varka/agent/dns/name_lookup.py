"""Finds a host of the mesh in the ways in which a resolver may ask for it.

A resolver tries its search domains first, `api.example.com.default.svc.cluster.local` before `api.example.com`; for a
host that is known the first try is answered already, with an alias.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from varka.model.name_table import Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The addresses of a host; `alias` is the name that it was found by, where that is not the one asked for."""

    addresses: tuple[str, ...]
    alias: str = ""


class Lookup:
    """All names that one workload can be told, seen from its namespace. Names are lower case, without the dot at the end."""

    def __init__(self, names: Mapping[str, Name], namespace: str, search: Iterable[str] = ()) -> None:
        self._search = tuple(domain.rstrip(".").lower() for domain in search)
        self._names: dict[str, tuple[str, ...]] = {}
        for name in names.values():
            if name.short:
                self._names.setdefault(f"{name.short}.{name.namespace}", name.addresses)
                self._names.setdefault(f"{name.short}.{name.namespace}.svc", name.addresses)
                if name.namespace == namespace:
                    self._names.setdefault(name.short, name.addresses)
        self._names |= {host.lower(): name.addresses for host, name in names.items()}

    def find(self, name: str) -> Found | None:
        """What is known of a name; None leaves it to the name server of the network."""
        own = self._direct(name)
        if own is not None:
            return Found(addresses=own)
        for domain in self._search:
            base = name.removesuffix(f".{domain}")
            if base != name and (addresses := self._direct(base)) is not None:
                return Found(addresses=addresses, alias=base)
        return None

    def _direct(self, name: str) -> tuple[str, ...] | None:
        if name in self._names:
            return self._names[name]
        rest = name
        while rest:
            _, _, rest = rest.partition(".")
            if f"*.{rest}" in self._names:
                return self._names[f"*.{rest}"]
        return None
