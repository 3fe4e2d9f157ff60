"""Kubernetes' own OpenAPI definitions, as the package `kubernetes-validate` ships them, turned into nodes on demand."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from varka import KUBERNETES_VERSION
from varka.base.errors import VarkaError
from varka.cluster.apiserver.schema.nodes import Node

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
OBJECT_META = _META + "ObjectMeta"
_REF = "#/$defs/"
_SPECIAL = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    _META + "FieldsV1": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "any",
}
_KEY_DEFAULTS: dict[tuple[str, ...], dict[str, Any]] = {("containerPort", "protocol"): {"protocol": "TCP"}, ("port", "protocol"): {"protocol": "TCP"}}


def _path() -> Path:
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise VarkaError("the package kubernetes-validate is not installed", "pip install kubernetes-validate")
    folder = Path(spec.origin).parent / "kubernetes-json-schema"
    minor = ".".join(KUBERNETES_VERSION.split(".")[:2])
    return folder / f"{minor}.0-local" / "_definitions.json"


@lru_cache(maxsize=1)
def raw() -> dict[str, dict[str, Any]]:
    """All definitions by name, as JSON Schema. Read once, in about ten milliseconds; not to be changed."""
    definitions: dict[str, dict[str, Any]] = msgspec.json.decode(_path().read_bytes())["$defs"]
    return definitions


_nodes: dict[str, Node] = {}


def node(name: str) -> Node:
    """The node of a definition, such as `io.k8s.api.core.v1.Pod`; KeyError when there is none."""
    found = _nodes.get(name)
    if found is None:
        found = _nodes[name] = Node("any", name=name.rpartition(".")[2])
        _fill(found, name, raw()[name])
    return found


def _fill(target: Node, name: str, definition: dict[str, Any]) -> None:
    if name in _SPECIAL:
        target.type = _SPECIAL[name]
        target.preserve = target.type == "any"
        return
    compiled = _compile(definition)
    for attribute in ("type", "format", "properties", "values", "items", "required", "map_type", "preserve"):
        setattr(target, attribute, getattr(compiled, attribute))


def _compile(schema: dict[str, Any]) -> Node:
    reference = schema.get("$ref")
    if reference is not None:
        target = node(reference.removeprefix(_REF))
        if "x-kubernetes-map-type" in schema or "x-kubernetes-patch-strategy" in schema:
            return _with_keys(_copy(target), schema)
        return target
    declared = schema.get("type")
    kind = declared[0] if isinstance(declared, list) else declared
    result = Node("any", format=schema.get("format", ""))
    if kind == "array":
        result.type, result.items = "list", _compile(schema["items"])
    elif kind == "object" and "properties" in schema:
        result.type = "object"
        result.properties = {key: _compile(value) for key, value in schema["properties"].items()}
        result.required = tuple(schema.get("required", ()))
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        result.type, result.values = "map", _compile(schema["additionalProperties"])
    elif kind in ("string", "integer", "number", "boolean"):
        result.type = kind
    else:
        result.preserve = True
    return _with_keys(result, schema)


def _copy(target: Node) -> Node:
    copy = Node(target.type, name=target.name)
    for attribute in ("format", "properties", "values", "items", "required", "map_type", "preserve"):
        setattr(copy, attribute, getattr(target, attribute))
    return copy


def _with_keys(result: Node, schema: dict[str, Any]) -> Node:
    result.merge_key = schema.get("x-kubernetes-patch-merge-key", "")
    result.strategy = tuple(schema.get("x-kubernetes-patch-strategy", "").split(",")) if schema.get("x-kubernetes-patch-strategy") else ()
    result.list_type = schema.get("x-kubernetes-list-type", "")
    result.list_keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
    result.map_type = schema.get("x-kubernetes-map-type", "") or result.map_type
    result.key_defaults = _KEY_DEFAULTS.get(result.list_keys, {})
    return result
