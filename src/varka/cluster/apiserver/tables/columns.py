"""What the layout of a table is made of, and the cells that many kinds share: ages, labels, containers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from varka.client.api import Object

Cell = str | int | float | bool | None
Row = Callable[[Object, datetime], list[Cell]]

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; `priority` 1 is for `-o wide` only, `type` and `format` are OpenAPI's."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0

    def definition(self) -> Object:
        """The entry in `columnDefinitions`."""
        return {"name": self.name, "type": self.type, "format": self.format, "description": self.description, "priority": self.priority}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns of a kind, and the function that makes an object's cells in their order at a given moment."""

    columns: tuple[Column, ...]
    row: Row


def layout(row: Row, names: str, wide: str = "") -> Layout:
    """A layout from column names divided by `|`; those that end in `#` are integers, the first is the object's name."""

    def column(name: str, priority: int, place: int) -> Column:
        number = name.endswith("#")
        return Column(name=name.rstrip("#"), type="integer" if number else "string", format="name" if place == 0 and name == "Name" else "", priority=priority)

    plain = [column(name, 0, place) for place, name in enumerate(names.split("|"))]
    return Layout(columns=(*plain, *(column(name, 1, 1) for name in wide.split("|") if name)), row=row)


def name(obj: Object) -> str:
    """The object's name."""
    return str(obj["metadata"].get("name", ""))


def age(obj: Object, now: datetime) -> str:
    """How long ago the object was created."""
    return since(obj["metadata"].get("creationTimestamp"), now)


def since(timestamp: str | None, now: datetime) -> str:
    """How long ago a timestamp was."""
    if not timestamp:
        return UNKNOWN
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return UNKNOWN
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return duration((now - moment).total_seconds())


def duration(total: float) -> str:
    """Seconds in the two largest units that matter, as kubectl shows ages."""
    seconds = int(total)
    if seconds < 120:
        return f"{seconds}s" if seconds >= 0 else "0s" if seconds >= -1 else "<invalid>"
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(hours // 24, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        return _two(hours // 24 // 365, "y", hours // 24 % 365, "d")
    return f"{hours // 24 // 365}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def pairs(labels: Mapping[str, str] | None) -> str:
    """Labels or an equality selector as text."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) if labels else NONE


def selector(value: Object | None) -> str:
    """A LabelSelector as text."""
    if not value:
        return NONE
    parts = [f"{key}={one}" for key, one in sorted((value.get("matchLabels") or {}).items())]
    for term in value.get("matchExpressions") or ():
        values = ",".join(sorted(term.get("values") or ()))
        match term["operator"]:
            case "In":
                parts.append(f"{term['key']} in ({values})")
            case "NotIn":
                parts.append(f"{term['key']} notin ({values})")
            case "Exists":
                parts.append(term["key"])
            case "DoesNotExist":
                parts.append(f"!{term['key']}")
    return ",".join(parts) or NONE


def containers(template: Object) -> list[Cell]:
    """Names and images of a pod template's containers, two cells."""
    found = (template.get("spec") or {}).get("containers") or ()
    return [",".join(one.get("name", "") for one in found), ",".join(one.get("image", "") for one in found)]


def joined(parts: Iterable[str], empty: str = NONE) -> str:
    """Comma-separated, or `empty`."""
    return ",".join(parts) or empty


def shortened(parts: list[str], empty: str = NONE) -> str:
    """The first three, and how many more there are."""
    text = ",".join(parts[:3])
    if len(parts) > 3:
        text += f" + {len(parts) - 3} more..."
    return text or empty


def status(obj: Object) -> Object:
    """The status, empty when there is none."""
    return obj.get("status") or {}


def spec(obj: Object) -> Object:
    """The spec, empty when there is none."""
    return obj.get("spec") or {}
