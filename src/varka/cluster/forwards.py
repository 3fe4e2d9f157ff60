"""What the relay listens for on loopback, and where it leads: the shapes that node, relay and command line share.

`forwards.json` in the state folder holds the wishes of the node and what became of them, so that a restarted relay listens
again by itself and `varka env` can say a URL.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varka.cluster import state


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One service (or node port) that wants to be reachable from the host; `ports` are those of the address `target` in the cluster.

    A `fixed` wish is for 127.0.0.1 and its own ports or nothing at all.
    """

    id: str
    target: str
    ports: tuple[int, ...]
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a wish is served: an address on loopback, wanted port → port that is listened on (0 when none could be had)."""

    id: str
    address: str
    ports: dict[int, int]
    errors: dict[int, str] = dataclasses.field(default_factory=dict)

    def url(self, port: int) -> str:
        """`host:port` for a wanted port, or the empty string."""
        bound = self.ports.get(port, 0)
        return f"{self.address}:{bound}" if bound else ""


def encode(items: list[Wish] | list[Place]) -> str:
    """One line of JSON."""
    return json.dumps([dataclasses.asdict(item) for item in items], separators=(",", ":"))


def wishes(text: str | list[dict[str, Any]]) -> list[Wish]:
    """The wishes in a line of JSON."""
    raw = json.loads(text) if isinstance(text, str) else text
    return [Wish(id=item["id"], target=item["target"], ports=tuple(item["ports"]), fixed=item["fixed"]) for item in raw]


def places(text: str | list[dict[str, Any]]) -> list[Place]:
    """The places in a line of JSON."""
    raw = json.loads(text) if isinstance(text, str) else text
    return [Place(id=item["id"], address=item["address"], ports=_numbered(item["ports"]), errors=_numbered(item["errors"])) for item in raw]


def _numbered(raw: dict[str, Any]) -> dict[int, Any]:
    return {int(port): value for port, value in raw.items()}


def read(path: Path) -> tuple[list[Wish], list[Place]]:
    """The content of `forwards.json`; empty when there is none."""
    raw = state.read_json(path) or {}
    return wishes(raw.get("wishes", [])), places(raw.get("places", []))


def write(path: Path, wanted: list[Wish], placed: list[Place]) -> None:
    """Keep both for the next relay and for `varka env`."""
    state.write_json(path, {"wishes": json.loads(encode(wanted)), "places": json.loads(encode(placed))})
