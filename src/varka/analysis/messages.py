"""The messages of `istioctl analyze`: what a finding is, and what a kind of finding is; `catalog` has the kinds."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from msgspec import Struct

from varka.resources import Meta


class Level(IntEnum):
    """How bad a finding is; the worst is the greatest."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def title(self) -> str:
        """As it is printed."""
        return self.name.capitalize()


class Message(Struct, frozen=True, kw_only=True):
    """One finding about one resource. `path` is the field, empty for the resource as a whole."""

    code: str
    type: str
    """Name of the kind of message, as `SchemaValidationError`."""
    level: Level
    kind: str
    namespace: str
    name: str
    text: str
    path: str = ""

    @property
    def resource(self) -> str:
        """`Kind namespace/name`, or `Kind name`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def line(self) -> str:
        """As `istioctl analyze` prints it."""
        return f"{self.level.title} [{self.code}] ({self.resource}) {self.text}"

    def order(self) -> tuple[int, str, str, str, str]:
        """Sorts the worst first, then by code and resource."""
        return (-self.level, self.code, self.resource, self.path, self.text)


class Subject(Protocol):
    """What a message can be about."""

    @property
    def kind(self) -> str: ...

    @property
    def meta(self) -> Meta: ...


class Type(Struct, frozen=True):
    """A kind of message; `template` takes positional values."""

    name: str
    code: str
    level: Level
    template: str

    def about(self, resource: Subject, *values: object, path: str = "") -> Message:
        """The message about a resource."""
        meta = resource.meta
        return Message(
            code=self.code,
            level=self.level,
            type=self.name,
            kind=resource.kind,
            namespace=meta.namespace,
            name=meta.name,
            text=self.template.format(*values),
            path=path,
        )


def listed(items: object) -> str:
    """Values in brackets, as Go prints a list."""
    return f"[{' '.join(str(item) for item in items)}]" if isinstance(items, list | tuple | set | frozenset) else str(items)


def labels(selector: object) -> str:
    """Labels as `key=value,key=value`."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) if isinstance(selector, dict) else str(selector)
