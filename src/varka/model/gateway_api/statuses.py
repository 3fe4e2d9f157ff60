"""Conditions as values: what is to be written onto the objects of the Gateway API."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from varka.resources.gateway_api.kinds import CONTROLLER
from varka.resources.gateway_api.routes import ParentReference

Ref = tuple[str, str, str]
"""Kind, namespace and name."""


class Condition(Struct, frozen=True, kw_only=True):
    """One condition; `holds` is its status."""

    type: str
    holds: bool
    reason: str
    message: str = ""

    def shown(self, generation: int) -> dict[str, Any]:
        """In the form of the API, without the time of the last change."""
        status = "True" if self.holds else "False"
        return {"type": self.type, "status": status, "reason": self.reason, "message": self.message, "observedGeneration": generation}


def accepted(message: str = "") -> Condition:
    """It is taken."""
    return Condition(type="Accepted", holds=True, reason="Accepted", message=message)


def refused(reason: str, message: str) -> Condition:
    """It is not taken."""
    return Condition(type="Accepted", holds=False, reason=reason, message=message)


RESOLVED = Condition(type="ResolvedRefs", holds=True, reason="ResolvedRefs", message="all references were found")


def unresolved(reason: str, message: str) -> Condition:
    """Something that it refers to is not there, or may not be referred to."""
    return Condition(type="ResolvedRefs", holds=False, reason=reason, message=message)


class ParentStatus(Struct, frozen=True, kw_only=True):
    """What became of a route at one of its parents."""

    reference: ParentReference
    conditions: tuple[Condition, ...]

    def shown(self, generation: int, namespace: str) -> dict[str, Any]:
        """In the form of the API."""
        given = self.reference
        reference: dict[str, Any] = {"group": given.group, "kind": given.kind, "name": given.name}
        if given.namespace and given.namespace != namespace:
            reference["namespace"] = given.namespace
        if given.section_name:
            reference["sectionName"] = given.section_name
        if given.port is not None:
            reference["port"] = given.port
        return {"parentRef": reference, "controllerName": CONTROLLER, "conditions": [one.shown(generation) for one in self.conditions]}


class ListenerStatus(Struct, frozen=True, kw_only=True):
    """What became of one listener."""

    name: str
    kinds: tuple[str, ...]
    attached: int
    conditions: tuple[Condition, ...]

    def shown(self, generation: int) -> dict[str, Any]:
        """In the form of the API."""
        kinds = [{"group": "gateway.networking.k8s.io", "kind": kind} for kind in self.kinds]
        return {"name": self.name, "supportedKinds": kinds, "attachedRoutes": self.attached, "conditions": [one.shown(generation) for one in self.conditions]}
