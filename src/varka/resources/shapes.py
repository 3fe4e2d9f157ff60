"""The typed classes seen from outside: a small tree that decoding, the CRD schemas and the list of unused fields walk.

A shape is a scalar, a list, a map, an object or anything at all; each carries the annotations of `schema`.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Struct, field

from varka.resources.schema import Schema, Spec


class Scalar(Struct, frozen=True, kw_only=True):
    """`type` is `string`, `integer`, `number` or `boolean`; `values` is what an enum allows."""

    type: str
    values: tuple[str, ...] = ()


class Many(Struct, frozen=True, kw_only=True):
    item: Shape


class Keyed(Struct, frozen=True, kw_only=True):
    item: Shape


class Free(Struct, frozen=True, kw_only=True):
    """Any object, kept as it is."""


class Field(Struct, frozen=True, kw_only=True):
    """One field of an object: `name` in YAML, `attribute` in Python."""

    name: str
    attribute: str
    shape: Shape

    @property
    def required(self) -> bool:
        return any(schema.required for schema in self.shape.schemas)


class Record(Struct, frozen=True, kw_only=True, eq=False):
    type: type[Spec]
    fields: Mapping[str, Field]


class Shape(Struct, frozen=True, kw_only=True):
    node: Scalar | Many | Keyed | Free | Record
    schemas: tuple[Schema, ...] = field(default=())


_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def of(annotation: Any) -> Shape:
    """The shape of a type as it stands in an annotation."""
    schemas: list[Schema] = []
    while True:
        if get_origin(annotation) is Annotated:
            schemas.extend(item for item in get_args(annotation)[1:] if isinstance(item, Schema))
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in {Union, types.UnionType}:
            (annotation,) = (item for item in get_args(annotation) if item is not types.NoneType)
        else:
            return Shape(node=_node(annotation), schemas=tuple(schemas))


def _node(annotation: Any) -> Scalar | Many | Keyed | Free | Record:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _SCALARS:
        return Scalar(type=_SCALARS[annotation])
    if origin is Literal:
        return Scalar(type="string", values=arguments)
    if origin is tuple:
        return Many(item=of(arguments[0]))
    if origin is dict:
        return Free() if arguments[1] is Any else Keyed(item=of(arguments[1]))
    return record(annotation)


@functools.cache
def record(kind: type[Spec]) -> Record:
    """The fields of a class in the order of their definition."""
    hints = get_type_hints(kind, include_extras=True)
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return Record(type=kind, fields={name: Field(name=name, attribute=attribute, shape=of(hints[attribute])) for attribute, name in names})
