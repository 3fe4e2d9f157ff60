"""From a request's body to an object of its kind: names and versions match the request, types are right, unknown fields are gone."""

from __future__ import annotations

import re
from typing import Any

from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.kinds import events, rules
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.request import Attributes
from varka.cluster.apiserver.schema import decoding, definitions, structural
from varka.cluster.apiserver.schema.nodes import ANY, Node

STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"


def schema_node(info: ResourceInfo) -> Node:
    """The schema of a resource's objects."""
    if info.crd is not None:
        return info.crd.root
    return definitions.node(info.schema_ref) if info.schema_ref else ANY


def check_identity(attributes: Attributes, info: ResourceInfo, body: Any) -> Object:
    """The body with kind and apiVersion set and a metadata of its own; ApiError 400 when it is not of the request's kind, namespace or name."""
    if not isinstance(body, dict):
        raise errors.bad_request(f"couldn't get version/kind; json parse error: json: cannot unmarshal {_json_type(body)} into Go value of type struct")
    kind, version = body.get("kind") or info.kind, body.get("apiVersion") or info.api_version
    if version != info.api_version:
        raise errors.bad_request(f"the API version in the data ({version}) does not match the expected API version ({info.api_version})")
    if kind != info.kind:
        raise errors.bad_request(f'{kind} in version "{info.version}" cannot be handled as a {info.kind}: the object is of another kind')
    meta = body.get("metadata")
    if meta is not None and not isinstance(meta, dict):
        raise _undecodable(info, f"json: cannot unmarshal {_json_type(meta)} into Go struct field {info.kind}.metadata of type v1.ObjectMeta")
    meta = dict(meta or {})
    if info.namespaced:
        given = meta.get("namespace") or attributes.namespace
        if given != attributes.namespace:
            raise errors.bad_request("the namespace of the provided object does not match the namespace sent on the request")
        meta["namespace"] = attributes.namespace
    elif meta.pop("namespace", None):
        raise errors.bad_request("namespace is not allowed on this type")
    if attributes.name and attributes.verb != "create":
        given = meta.get("name") or attributes.name
        if given != attributes.name:
            raise errors.bad_request(f"the name of the object ({given}) does not match the name on the URL ({attributes.name})")
        meta["name"] = attributes.name
    return {
        "apiVersion": info.api_version,
        "kind": info.kind,
        **{key: item for key, item in body.items() if key not in ("apiVersion", "kind")},
        "metadata": meta,
    }


def decode(info: ResourceInfo, obj: Object, unknown: list[str]) -> Object:
    """The object as its schema knows it, a new one; unknown fields are dropped and named in `unknown`; ApiError 400 for wrong types."""
    node = schema_node(info)
    decoder = decoding.Decoder()
    try:
        if info.crd is None:
            result: Object = decoder.decode(node, obj)
        else:
            result = structural.prune(node, obj, "", unknown, top=True)
            result["metadata"] = decoder.decode(definitions.node(definitions.OBJECT_META), obj["metadata"], "metadata", "ObjectMeta")
    except decoding.WrongType as error:
        raise _undecodable(info, str(error)) from error
    unknown += decoder.unknown
    if info.key == "secrets":
        _string_data(info, result)
    result.setdefault("metadata", {})
    return result


def _string_data(info: ResourceInfo, obj: Object) -> None:
    """`stringData` is written only: it becomes data."""
    wrong = rules.bad_base64(obj)
    if wrong:
        raise _undecodable(info, wrong)
    texts = obj.pop("stringData", None)
    if texts:
        import base64

        data = obj.setdefault("data", {})
        data.update({key: base64.b64encode(value.encode()).decode() for key, value in texts.items()})


def unknown_fields(info: ResourceInfo, unknown: list[str], mode: str, patch: str = "") -> list[str]:
    """Warnings for unknown fields; ApiError when the caller asked for strict validation."""
    if not unknown or mode == IGNORE:
        return []
    texts = [f'unknown field "{_plain(path)}"' for path in dict.fromkeys(unknown)]
    if mode != STRICT:
        return texts
    text = "strict decoding error: " + ", ".join(texts)
    if patch:
        cause = errors.invalid("patch", patch, text)
        details = {"causes": [{"reason": cause.reason, "message": cause.text, "field": cause.field}]}
        raise ApiError(422, "Invalid", f' "" is invalid: {cause.field}: {cause.text}', details)
    raise _undecodable(info, text)


def _plain(path: str) -> str:
    return re.sub(r"^\.", "", path)


def _undecodable(info: ResourceInfo, text: str) -> ApiError:
    return errors.bad_request(f'{info.kind} in version "{info.version}" cannot be handled as a {info.kind}: {text}')


def _json_type(value: Any) -> str:
    return {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}.get(type(value), "null")


def to_version(obj: Object, info: ResourceInfo) -> Object:
    """The object as another version of its resource serves it; but for events, only apiVersion differs (conversion strategy None)."""
    if obj.get("apiVersion") == info.api_version:
        return obj
    return events.to_new(obj) if info.stored_as else {**obj, "apiVersion": info.api_version}


def to_storage(obj: Object, info: ResourceInfo) -> Object:
    """The object in the version in which its resource is kept."""
    if info.stored_as:
        return events.to_core(obj)
    stored = f"{info.group}/{info.storage_version}" if info.group else info.storage_version
    if not info.storage_version or obj.get("apiVersion") == stored:
        return obj
    return {**obj, "apiVersion": stored}
