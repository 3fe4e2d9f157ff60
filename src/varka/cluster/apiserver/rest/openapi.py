"""OpenAPI v3 documents, one for each group and version, made on demand from the schemas that the server checks with."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import msgspec

from varka import KUBERNETES_VERSION
from varka.client.api import Object
from varka.cluster.apiserver.registry import Registry, ResourceInfo
from varka.cluster.apiserver.schema import definitions

_COMPONENTS = "#/components/schemas/"
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in ("dryRun", "fieldManager", "fieldValidation", "pretty")
]


def index(registry: Registry) -> Object:
    """`/openapi/v3`: every document's path with the digest of its content."""
    paths: Object = {}
    for name in ["", *registry.groups()]:
        for version in registry.versions(name):
            path = f"apis/{name}/{version}" if name else f"api/{version}"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest(registry, name, version)}"}
    return {"paths": paths}


def digest(registry: Registry, group: str, version: str) -> str:
    """Changes when the document of a version changes; cheap, since it is taken of the schemas' sources."""
    state = hashlib.sha256(KUBERNETES_VERSION.encode())
    for info in _infos(registry, group, version):
        source: Any = info.crd.text if info.crd is not None else info.schema_ref
        state.update(msgspec.json.encode([info.resource, info.kind, info.namespaced, info.subresources, source]))
    return state.hexdigest().upper()


def _infos(registry: Registry, group: str, version: str) -> list[ResourceInfo]:
    return sorted((info for info in registry.in_group(group) if info.version == version), key=lambda info: info.resource)


_cache: dict[tuple[str, str], tuple[str, bytes]] = {}


def document(registry: Registry, group: str, version: str) -> tuple[str, bytes] | None:
    """Digest and JSON of a version's document; None when there is no such version."""
    infos = _infos(registry, group, version)
    if not infos:
        return None
    tag = digest(registry, group, version)
    known = _cache.get((group, version))
    if known is None or known[0] != tag:
        known = _cache[group, version] = (tag, msgspec.json.encode(_build(infos, group, version)))
    return known


def _build(infos: list[ResourceInfo], group: str, version: str) -> Object:
    schemas: Object = {}
    paths: Object = {}
    for info in infos:
        if info.schema_ref:
            name = info.schema_ref
            _include(name, schemas)
        elif info.crd is not None:
            name = _schema_name(info)
            schemas[name] = _custom(info, schemas)
        else:
            name = definitions.OBJECT_META
            _include(name, schemas)
        _paths(info, name, paths)
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION}, "paths": paths, "components": {"schemas": schemas}}


def _schema_name(info: ResourceInfo) -> str:
    return ".".join([*reversed(info.group.split(".")), info.version, info.kind])


def _paths(info: ResourceInfo, schema: str, paths: Object) -> None:
    prefix = f"/apis/{info.group}/{info.version}" if info.group else f"/api/{info.version}"
    base = f"{prefix}/namespaces/{{namespace}}/{info.resource}" if info.namespaced else f"{prefix}/{info.resource}"
    kind = {"group": info.group, "version": info.version, "kind": info.kind}
    answer = {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": _COMPONENTS + schema}}}}}
    one: Object = {}
    for verb, method in (("get", "get"), ("update", "put"), ("patch", "patch"), ("delete", "delete")):
        if verb in info.verbs:
            one[method] = _operation(verb, kind, answer)
    many: Object = {}
    for verb, method in (("list", "get"), ("create", "post"), ("deletecollection", "delete")):
        if verb in info.verbs:
            many[method] = _operation({"create": "post"}.get(verb, verb), kind, answer)
    paths[base] = many
    if one:
        paths[f"{base}/{{name}}"] = one
    for name in info.subresources:
        if name == "status":
            paths[f"{base}/{{name}}/status"] = {method: _operation(method, kind, answer) for method in ("get", "put", "patch")}


def _operation(action: str, kind: Object, answer: Object) -> Object:
    operation: Object = {"x-kubernetes-action": {"update": "put"}.get(action, action), "x-kubernetes-group-version-kind": kind, "responses": answer}
    if action in ("post", "put", "patch", "update"):
        operation["parameters"] = _PARAMETERS
    return operation


def _include(name: str, schemas: Object) -> None:
    """Put a builtin definition, and all that it refers to, into a document."""
    if name in schemas:
        return
    text, references = _translated(name)
    schemas[name] = text
    for reference in references:
        _include(reference, schemas)


@lru_cache(maxsize=2048)
def _translated(name: str) -> tuple[Object, tuple[str, ...]]:
    references: dict[str, None] = {}
    text: Object = _openapi(definitions.raw()[name], references)
    return text, tuple(references)


def _openapi(schema: Any, references: dict[str, None]) -> Any:
    """A JSON Schema of the definitions as OpenAPI v3: one type, references into the components, a default beside each reference."""
    if isinstance(schema, list):
        return [_openapi(item, references) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: Object = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str):
            target = value.removeprefix("#/$defs/")
            references[target] = None
            result["allOf"] = [{"$ref": _COMPONENTS + target}]
        elif key == "type" and isinstance(value, list):
            result["type"] = value[0]
        elif key == "properties":
            result["properties"] = {name: _openapi(item, references) for name, item in value.items()}
        elif key in ("items", "additionalProperties", "oneOf"):
            result[key] = _openapi(value, references)
        elif key == "enum" and isinstance(value, list):
            result["enum"] = [item for item in value if item is not None]
        else:
            result[key] = value
    if set(result) == {"allOf"}:
        return result["allOf"][0]
    return result


def _custom(info: ResourceInfo, schemas: Object) -> Object:
    text = dict(info.crd.text) if info.crd is not None else {}
    meta = definitions.OBJECT_META
    _include(meta, schemas)
    own = {
        "apiVersion": {"type": "string", "description": "The version of the API that this object is written in."},
        "kind": {"type": "string", "description": "The kind of the object."},
        "metadata": {"description": "Standard object metadata.", "allOf": [{"$ref": _COMPONENTS + meta}]},
    }
    text["properties"] = {**own, **{key: value for key, value in (text.get("properties") or {}).items() if key not in own}}
    text["x-kubernetes-group-version-kind"] = [{"group": info.group, "version": info.version, "kind": info.kind}]
    return text
