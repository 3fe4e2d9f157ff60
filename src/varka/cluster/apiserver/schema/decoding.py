"""Taking in an object of a builtin kind: check its types, drop what the kind does not know, leave out what Go would leave out.

A field of the wrong type is refused with the words of Go's JSON decoder, since that is what refuses it in Kubernetes.
"""

from __future__ import annotations

from typing import Any

from varka.cluster.apiserver import errors
from varka.cluster.apiserver.schema.nodes import Node

_POINTER_STRINGS = frozenset(["storageClassName", "ingressClassName", "volumeName", "runtimeClassName", "subdomain"])
_GO_NAMES = {"string": "string", "boolean": "bool", "number": "float64", "quantity": "resource.Quantity", "int-or-string": "intstr.IntOrString"}
_NOT_REQUIRED = frozenset(
    [
        ("NetworkPolicySpec", "podSelector"),
        ("EndpointSlice", "endpoints"),
        ("Endpoint", "addresses"),
        ("TokenRequestSpec", "audiences"),
        ("Event", "involvedObject"),
        ("Event", "metadata"),
        ("Event", "eventTime"),
        ("ClusterRole", "rules"),
        ("Role", "rules"),
        ("RoleRef", "apiGroup"),
        ("ControllerRevision", "revision"),
        ("SelfSubjectAccessReview", "spec"),
        ("SelfSubjectRulesReview", "spec"),
        ("GRPCAction", "service"),
        ("RBDVolumeSource", "monitors"),
        ("LimitRangeSpec", "limits"),
        ("IngressClassParametersReference", "name"),
        ("ResourceFieldSelector", "resource"),
        ("IngressServiceBackend", "name"),
        ("ManagedFieldsEntry", "time"),
        ("CustomResourceDefinitionSpec", "names"),
        ("CustomResourceColumnDefinition", "type"),
        ("StatefulSetSpec", "serviceName"),
    ]
)


class WrongType(Exception):
    """A value that Go could not decode; the text is Go's."""


class Decoder:
    """One pass over one object; afterwards `unknown` lists the paths of dropped fields."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def decode(self, node: Node, value: Any, path: str = "", owner: str = "") -> Any:
        """The value as the schema knows it. The input is not changed; what is unchanged may be shared with it."""
        kind = node.type
        if kind == "any":
            return value
        if kind == "object":
            return self._object(node, value, path, owner)
        if kind == "list":
            if not isinstance(value, list):
                raise self._wrong(node, value, path, owner)
            items = node.element()
            return [self.decode(items, item, f"{path}[{position}]", owner) for position, item in enumerate(value)]
        if kind == "map":
            if not isinstance(value, dict):
                raise self._wrong(node, value, path, owner)
            inner = node.child("")
            return {key: self.decode(inner, item, f"{path}.{key}", owner) for key, item in value.items() if item is not None or inner.type == "any"}
        if value is not None and not _fits(node, value):
            raise self._wrong(node, value, path, owner)
        if kind == "integer" and isinstance(value, float):
            return int(value)
        return str(value) if kind == "quantity" and value is not None else value

    def _object(self, node: Node, value: Any, path: str, owner: str) -> Any:
        if not isinstance(value, dict):
            raise self._wrong(node, value, path, owner)
        result: dict[str, Any] = {}
        for key, item in value.items():
            inner = node.properties.get(key)
            where = f"{path}.{key}" if path else key
            if inner is None:
                self.unknown.append(where)
                continue
            if item is None:
                continue
            decoded = self.decode(inner, item, where, node.name)
            if key not in node.required and (
                (decoded in ([], {}) and inner.type in ("list", "map")) or (decoded == "" and key not in _POINTER_STRINGS and inner.type == "string")
            ):
                continue
            result[key] = decoded
        return result

    def _wrong(self, node: Node, value: Any, path: str, owner: str) -> WrongType:
        given = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}.get(type(value), "null")
        if node.type == "integer":
            wanted = node.format or "int64"
            given = f"number {value}" if isinstance(value, float) else given
        elif node.type == "list":
            wanted = f"[]{_go_name(node.element())}"
        else:
            wanted = _go_name(node)
        plain = "".join(part.partition("[")[0] + "." for part in path.split(".")).rstrip(".")
        where = f"Go struct field {owner}.{plain}" if owner else "Go value"
        return WrongType(f"json: cannot unmarshal {given} into {where} of type {wanted}")


def _go_name(node: Node) -> str:
    if node.type == "map":
        return f"map[string]{_go_name(node.child(''))}"
    if node.type == "object":
        return f"v1.{node.name}"
    return _GO_NAMES.get(node.type, node.format or "int32")


def _fits(node: Node, value: Any) -> bool:
    kind = node.type
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            return False
        return abs(value) < (2**31 if node.format == "int32" else 2**63)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "int-or-string":
        return isinstance(value, int | str) and not isinstance(value, bool)
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def missing(node: Node, value: Any, path: str = "") -> list[errors.Cause]:
    """A cause for every required field that is not there; `status` and `metadata` are not looked at."""
    causes: list[errors.Cause] = []
    if node.type == "object" and isinstance(value, dict):
        for key in node.required:
            if value.get(key) is None and (node.name, key) not in _NOT_REQUIRED:
                causes.append(errors.required(f"{path}.{key}" if path else key))
        for key, item in value.items():
            if not path and key in ("status", "metadata"):
                continue
            inner = node.properties.get(key)
            if inner is not None and inner.type in ("object", "list", "map"):
                causes += missing(inner, item, f"{path}.{key}" if path else key)
    elif node.type == "list" and isinstance(value, list):
        inner = node.element()
        if inner.type in ("object", "list", "map"):
            for position, item in enumerate(value):
                causes += missing(inner, item, f"{path}[{position}]")
    elif node.type == "map" and isinstance(value, dict):
        inner = node.child("")
        if inner.type == "object":
            for key, item in value.items():
                causes += missing(inner, item, f"{path}[{key}]")
    return causes
