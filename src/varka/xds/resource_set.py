"""All resources of one type that one group of proxies shares, as an immutable value.

Streams remember the set that they were last served from. The difference between two sets is computed once and
serves every stream, and a resource is put into its wire form once however many proxies receive it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

from varka.base.wire import WireResource


def varint(number: int) -> bytes:
    """Protobuf's variable-length integer."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(number: int, value: bytes | str) -> bytes:
    """A length-delimited protobuf field, as whose value Envoy's messages are concatenated."""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


class Packed:
    """A resource with its wire forms, made when first asked for."""

    __slots__ = ("_any", "_field", "resource")

    def __init__(self, resource: WireResource) -> None:
        self.resource = resource
        self._field = b""
        self._any = b""

    @property
    def version(self) -> str:
        return self.resource.version

    @property
    def any_field(self) -> bytes:
        """Field 2 of a DiscoveryResponse: the resource as Any."""
        if not self._any:
            self._any = text(2, text(1, self.resource.type_url) + text(2, self.resource.body))
        return self._any

    @property
    def delta_field(self) -> bytes:
        """Field 2 of a DeltaDiscoveryResponse: version, Any and name."""
        if not self._field:
            resource = self.resource
            body = text(1, resource.version) + text(2, text(1, resource.type_url) + text(2, resource.body)) + text(3, resource.name)
            self._field = text(2, body)
        return self._field


class Change(NamedTuple):
    """Names that are new or different, and names that are gone; both sorted."""

    updated: tuple[str, ...]
    removed: tuple[str, ...]


class ResourceSet:
    """Names and what they stand for. Equal names of one set occur once: the last one given wins."""

    __slots__ = ("__weakref__", "_changes", "_entries", "_version")

    def __init__(self, resources: Iterable[WireResource] = (), previous: ResourceSet | None = None) -> None:
        entries: dict[str, Packed] = {}
        kept: Mapping[str, Packed] = {} if previous is None else previous._entries
        for resource in resources:
            old = kept.get(resource.name)
            entries[resource.name] = old if old is not None and old.version == resource.version else Packed(resource)
        self._entries: dict[str, Packed] = entries
        self._changes: WeakKeyDictionary[ResourceSet, Change] = WeakKeyDictionary()
        self._version = ""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def get(self, name: str) -> Packed | None:
        """The resource of that name."""
        return self._entries.get(name)

    def version_of(self, name: str) -> str:
        """Its version, empty when there is no such resource."""
        found = self._entries.get(name)
        return found.version if found is not None else ""

    @property
    def version(self) -> str:
        """One version for the whole set, from names and versions."""
        if not self._version:
            digest = hashlib.blake2b(digest_size=8)
            for name in sorted(self._entries):
                digest.update(f"{name}\0{self._entries[name].version}\0".encode())
            self._version = digest.hexdigest()
        return self._version

    def same_as(self, other: ResourceSet) -> bool:
        """Nothing differs."""
        return self is other or not any(self.changes_from(other))

    def changes_from(self, old: ResourceSet) -> Change:
        """What has to be said to someone who knows `old`."""
        if old is self:
            return Change((), ())
        kept = self._changes.get(old)
        if kept is not None:
            return kept
        mine, theirs = self._entries, old._entries
        updated = []
        for name, packed in mine.items():
            before = theirs.get(name)
            if before is not packed and (before is None or before.version != packed.version):
                updated.append(name)
        change = Change(tuple(sorted(updated)), tuple(sorted(name for name in theirs if name not in mine)))
        self._changes[old] = change
        return change


EMPTY = ResourceSet()
