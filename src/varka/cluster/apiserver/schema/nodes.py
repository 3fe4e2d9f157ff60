"""A schema as a graph of nodes, the same for builtin and custom kinds, so that patches and field ownership know one form only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Node:
    """The schema of one value.

    `type` is object, map, list, string, integer, number, boolean, int-or-string, quantity or any. An `object` has
    `properties`, a `map` has `values`, a `list` has `items`. `name` is the Go type of an object, `format` narrows integers.
    `list_type` is atomic, set, map or empty; `map_type` is atomic, granular or empty; `merge_key` and `strategy` are those of
    strategic merge. `raw` is the text of a custom schema with its limits;
    `rules` says that there is a CEL rule here or below. Nodes may refer to each other in a circle.
    """

    type: str
    name: str = ""
    format: str = ""
    properties: dict[str, Node] = field(default_factory=dict)
    values: Node | None = None
    items: Node | None = None
    required: tuple[str, ...] = ()
    merge_key: str = ""
    strategy: tuple[str, ...] = ()
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    map_type: str = ""
    preserve: bool = False
    nullable: bool = False
    embedded: bool = False
    has_default: bool = False
    rules: bool = False
    default: Any = None
    key_defaults: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)

    def child(self, key: str) -> Node:
        """The schema of a member of an object or map; `ANY` for one that it does not know."""
        found = self.properties.get(key)
        if found is None:
            found = self.values
        return found if found is not None else ANY

    def element(self) -> Node:
        """The schema of a list's items."""
        return self.items if self.items is not None else ANY

    @property
    def merges_by_key(self) -> bool:
        """Whether a list's items are objects told apart by keys, for server-side apply."""
        return self.list_type == "map" and bool(self.list_keys)


ANY = Node("any", preserve=True)
