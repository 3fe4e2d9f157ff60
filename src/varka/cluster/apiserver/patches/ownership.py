"""Who owns which field: `metadata.managedFields` after every write, and server-side apply with its conflicts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from varka.client.api import ApiError, Object
from varka.cluster.apiserver.patches import fields
from varka.cluster.apiserver.patches.fields import EMPTY, FieldSet, Path
from varka.cluster.apiserver.schema.nodes import Node

_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes: the field manager's name, the version it speaks, the subresource it writes to, and when (RFC 3339)."""

    manager: str
    api_version: str
    subresource: str
    time: str


@dataclass(slots=True)
class _Entry:
    """One element of managedFields with its set read."""

    text: Object
    owned: FieldSet

    def is_of(self, writer: Writer, operation: str) -> bool:
        text = self.text
        return (
            text.get("manager") == writer.manager
            and text.get("operation") == operation
            and text.get("subresource", "") == writer.subresource
            and (operation == "Apply" or text.get("apiVersion") == writer.api_version)
        )

    @property
    def shown(self) -> str:
        text = self.text
        name = f'"{text.get("manager", "")}"'
        if text.get("subresource"):
            name += f' with subresource "{text["subresource"]}"'
        if text.get("operation") == "Update":
            name += f" using {text.get('apiVersion', '')}" + (f" at {text['time']}" if text.get("time") else "")
        return name


def _read(obj: Object) -> list[_Entry]:
    entries = obj["metadata"].get("managedFields") or []
    return [_Entry(entry, fields.from_tree(entry.get("fieldsV1") or {})) for entry in entries if entry.get("operation")]


def _write(obj: Object, entries: list[_Entry]) -> None:
    kept = [entry.text for entry in entries if entry.owned]
    if kept:
        obj["metadata"]["managedFields"] = kept
    else:
        obj["metadata"].pop("managedFields", None)


def _entry(writer: Writer, operation: str, owned: FieldSet) -> _Entry:
    text: Object = {"manager": writer.manager, "operation": operation, "apiVersion": writer.api_version, "time": writer.time}
    text |= {"fieldsType": "FieldsV1", "fieldsV1": fields.to_tree(owned)}
    if writer.subresource:
        text["subresource"] = writer.subresource
    return _Entry(text, owned)


def _reduced(entry: _Entry, owned: FieldSet) -> _Entry:
    return entry if owned == entry.owned else _Entry({**entry.text, "fieldsV1": fields.to_tree(owned)}, owned)


def track(node: Node, old: Object | None, new: Object, writer: Writer) -> None:
    """Record a write other than apply in `new`: what it changed belongs to the writer, and to nobody else any more."""
    given = new["metadata"].get("managedFields")
    if given in ([], [{}]) and old is not None and old["metadata"].get("managedFields"):
        new["metadata"].pop("managedFields")
        return
    entries = _read(new) if given else _read(old) if old is not None else []
    before = fields.leaves(node, old) if old is not None else {}
    after = fields.leaves(node, new)
    changed = frozenset(path for path, value in after.items() if before.get(path, _MISSING) != value)
    removed = frozenset(path for path in before if path not in after)
    if not changed and not removed:
        _write(new, entries)
        return
    result: list[_Entry] = []
    own = EMPTY
    for entry in entries:
        if entry.is_of(writer, "Update"):
            own = entry.owned
        else:
            result.append(_reduced(entry, entry.owned - changed - removed))
    mine = (own | changed) - removed
    _write(new, [*result, _entry(writer, "Update", mine)])


def apply(node: Node, live: Object | None, config: Object, writer: Writer, force: bool) -> Object:
    """The object after a server-side apply, a new one; ApiError 409 for fields that others own with other values, unless forced."""
    config = {**config, "metadata": {key: value for key, value in config["metadata"].items() if key != "managedFields"}}
    wanted = fields.leaves(node, config)
    claimed = frozenset(wanted)
    base: Object = live if live is not None else {"metadata": {}}
    entries = _read(base)
    others = [entry for entry in entries if not entry.is_of(writer, "Apply")]
    mine = next((entry for entry in entries if entry.is_of(writer, "Apply")), None)
    current = fields.leaves(node, base)
    clashes = _conflicts(others, wanted, current)
    if clashes and not force:
        raise _refusal(clashes)
    if force:
        taken = frozenset(path for _, paths in clashes for path in paths)
        others = [_reduced(entry, entry.owned - taken) for entry in others]
    merged: Object = _merge(node, base, config)
    if mine is not None:
        kept = frozenset[Path]().union(*(entry.owned for entry in others))
        for path in sorted(mine.owned - claimed - kept, key=lambda path: (len(path), path)):
            if not any(other[: len(path)] == path for other in kept | claimed):
                fields.remove(node, merged, path)
    unchanged = mine is not None and mine.owned == claimed
    own = mine if unchanged and mine is not None else _entry(writer, "Apply", claimed)
    merged["metadata"] = dict(merged["metadata"])
    _write(merged, [own, *others])
    return merged


def _conflicts(others: list[_Entry], wanted: dict[Path, Any], current: dict[Path, Any]) -> list[tuple[_Entry, list[Path]]]:
    found = []
    for entry in others:
        paths = [path for path in sorted(entry.owned) if path in wanted and current.get(path, _MISSING) != wanted[path]]
        if paths:
            found.append((entry, paths))
    return found


def _refusal(clashes: list[tuple[_Entry, list[Path]]]) -> ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {entry.shown}", "field": fields.show(path)} for entry, paths in clashes for path in paths
    ]
    parts = []
    for entry, paths in clashes:
        if len(paths) == 1:
            parts.append(f"conflict with {entry.shown}: {fields.show(paths[0])}")
        else:
            parts.append(f"conflicts with {entry.shown}:\n" + "\n".join(f"- {fields.show(path)}" for path in paths))
    text = f"Apply failed with {len(causes)} conflict{'s' if len(causes) > 1 else ''}: " + "\n".join(parts)
    return ApiError(409, "Conflict", text, {"causes": causes})


def _merge(node: Node, live: Any, config: Any) -> Any:
    if isinstance(config, dict):
        if not isinstance(live, dict) or node.map_type == "atomic":
            live = {}
        result = dict(live)
        for key, value in config.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = _merge(node.child(key), live.get(key), value)
        return result
    if isinstance(config, list):
        if node.merges_by_key and isinstance(live, list):
            return _merge_items(node, live, config)
        if node.list_type == "set" and isinstance(live, list):
            return [*live, *(item for item in config if item not in live)]
    return copy.deepcopy(config)


def _merge_items(node: Node, live: list[Any], config: list[Any]) -> list[Any]:
    inner = node.element()
    wanted = {fields.key_step(node, item): item for item in config}
    known = {fields.key_step(node, item): item for item in live}
    result = [_merge(inner, item, wanted[step]) if step in wanted else item for step, item in known.items()]
    return [*result, *(copy.deepcopy(item) for step, item in wanted.items() if step not in known)]
