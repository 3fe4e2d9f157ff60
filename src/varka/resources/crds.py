"""The CustomResourceDefinitions of Istio's API, made from the typed classes.

The schema is structural, keeps the names, enums, limits and CEL rules of the API, and leaves `status` open.
"""

from __future__ import annotations

from typing import Any

from varka.resources import shapes
from varka.resources.gateway_api import kinds as gateway_api
from varka.resources.kinds import KINDS, Column, Kind

JsonObject = dict[str, Any]

_APPROVAL = "https://github.com/kubernetes-sigs/gateway-api/pull/3328"
_STATUS: JsonObject = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definitions() -> list[JsonObject]:
    """All definitions, in the order of the table; the objects are the caller's to change."""
    return [definition(kind) for kind in KINDS]


def of_gateway_api() -> list[JsonObject]:
    """The definitions of the Gateway API, as far as the mesh acts on it."""
    marks = {"gateway.networking.k8s.io/bundle-version": "v1.4.0", "gateway.networking.k8s.io/channel": "experimental"}
    made = []
    for kind in gateway_api.KINDS:
        result = definition(kind)
        # The API group is protected in Kubernetes: its definitions have to say where they come from.
        result["metadata"] = {"name": result["metadata"]["name"], "annotations": {"api-approved.kubernetes.io": _APPROVAL, **marks}}
        result["spec"]["names"]["categories"] = ["gateway-api"]
        made.append(result)
    return made


def definition(kind: Kind) -> JsonObject:
    """The CustomResourceDefinition of one kind."""
    names: JsonObject = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.singular,
        "categories": ["istio-io", kind.group.replace(".", "-").removesuffix("-istio-io") + "-istio-io"],
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {"app": "istio-pilot", "chart": "istio", "release": "istio"},
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(kind, version) for version in kind.versions],
        },
    }


def _version(kind: Kind, version: str) -> JsonObject:
    schema: JsonObject = {"type": "object", "properties": {"spec": _record(shapes.record(kind.spec)), "status": dict(_STATUS)}}
    if kind.spec_required:
        schema["required"] = ["spec"]
    result: JsonObject = {
        "name": version,
        "served": True,
        "storage": version == kind.stored,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    if kind.columns:
        result["additionalPrinterColumns"] = [_column(column) for column in kind.columns]
    return result


def _column(column: Column) -> JsonObject:
    return {"name": column.name, "jsonPath": column.path, "type": column.type, "description": column.description}


def _schema(shape: shapes.Shape) -> JsonObject:
    node = shape.node
    if isinstance(node, shapes.Record):
        result = dict(_record(node))
    elif isinstance(node, shapes.Many):
        result = {"type": "array", "items": _schema(node.item)}
    elif isinstance(node, shapes.Keyed):
        result = {"type": "object", "additionalProperties": _schema(node.item)}
    elif isinstance(node, shapes.Free):
        result = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    else:
        result = {"type": node.type}
        if node.values:
            result["enum"] = list(node.values)
    for schema in shape.schemas:
        result.update(schema.keywords)
        _add_rules(result, schema.rules)
    return result


def _record(record: shapes.Record) -> JsonObject:
    result: JsonObject = {"type": "object"}
    text = (record.type.__doc__ or "").strip().partition("\n")[0]
    if text:
        result["description"] = text
    result["properties"] = {name: _schema(field.shape) for name, field in record.fields.items()}
    required = [name for name, field in record.fields.items() if field.required]
    if required:
        result["required"] = required
    choices = [_choice(group) for group in record.type.schema_one_of]
    if len(choices) == 1:
        result["oneOf"] = choices[0]
    elif choices:
        result["allOf"] = [{"oneOf": choice} for choice in choices]
    _add_rules(result, record.type.schema_rules)
    return result


def _choice(group: tuple[str, ...]) -> list[JsonObject]:
    alternatives = [{"required": [name]} for name in group]
    return [{"not": {"anyOf": alternatives}}, *alternatives]


def _add_rules(result: JsonObject, rules: tuple[tuple[str, str], ...]) -> None:
    if rules:
        made = [{"rule": rule, "message": message} for rule, message in rules]
        result["x-kubernetes-validations"] = [*result.get("x-kubernetes-validations", ()), *made]
