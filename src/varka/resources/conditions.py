"""A user's mistake as data: what is wrong or without effect, where in the resource, and how bad it is."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """ERROR: the resource is not used. WARNING: it is used, and probably not as meant. INFO: worth knowing."""

    ERROR = "Error"
    WARNING = "Warning"
    INFO = "Info"


class Condition(Struct, frozen=True, kw_only=True):
    """One finding. `path` is like `spec.http[0].route[1].weight`, empty for the resource as a whole."""

    severity: Severity
    reason: str
    """CamelCase, as in the conditions of Kubernetes."""
    message: str
    path: str = ""

    @property
    def text(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def error(path: str, message: str, reason: str = "Invalid") -> Condition:
    """A condition that keeps the resource from being used."""
    return Condition(severity=Severity.ERROR, reason=reason, message=message, path=path)


def warning(path: str, message: str, reason: str = "Questionable") -> Condition:
    """A condition on a resource that is used, and probably not as meant."""
    return Condition(severity=Severity.WARNING, reason=reason, message=message, path=path)


def info(path: str, message: str, reason: str = "Note") -> Condition:
    """A condition that is worth knowing."""
    return Condition(severity=Severity.INFO, reason=reason, message=message, path=path)
