"""Which pod has which address: handed out in order, never twice at once, and remembered across a restart of the node.

An address that was given back is the last to be used again, so that a connection to a pod that has gone does not reach
another one.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from varka.base.errors import VarkaError
from varka.cluster import state


class Addresses:
    """The pod range. Owners are pod UIDs."""

    def __init__(self, cidr: str, reserved: tuple[str, ...], file: Path | None = None) -> None:
        network = ipaddress.ip_network(cidr)
        self._first = int(network.network_address) + 1
        self._last = int(network.broadcast_address) - 1
        self._reserved = {int(ipaddress.ip_address(address)) for address in reserved}
        self._file = file
        saved = state.read_json(file) if file else None
        self._owners: dict[str, int] = {uid: int(ipaddress.ip_address(ip)) for uid, ip in (saved or {}).get("owners", {}).items()}
        self._taken = set(self._owners.values())
        self._next = int((saved or {}).get("next", self._first))

    def of(self, uid: str) -> str:
        """The address of `uid`, or the empty string."""
        number = self._owners.get(uid)
        return str(ipaddress.ip_address(number)) if number else ""

    def take(self, uid: str) -> str:
        """An address for `uid`; the same one when it has one already."""
        if uid in self._owners:
            return self.of(uid)
        size = self._last - self._first + 1
        for step in range(size):
            candidate = self._first + (self._next - self._first + step) % size
            if candidate not in self._taken and candidate not in self._reserved:
                self._owners[uid] = candidate
                self._taken.add(candidate)
                self._next = candidate + 1
                self._save()
                return str(ipaddress.ip_address(candidate))
        raise VarkaError("no pod address is free", "delete pods that are no longer needed")

    def give_back(self, uid: str) -> None:
        """Forget `uid`; unknown ones are fine."""
        number = self._owners.pop(uid, None)
        if number is not None:
            self._taken.discard(number)
            self._save()

    def owners(self) -> set[str]:
        """Everyone who has an address."""
        return set(self._owners)

    def _save(self) -> None:
        if self._file:
            owners = {uid: str(ipaddress.ip_address(number)) for uid, number in self._owners.items()}
            state.write_json(self._file, {"owners": owners, "next": self._next})
