"""The vocabulary in which the typed classes are written: the base class, the scalar types and what the schema knows of them.

A field is optional for reading, whatever the API says, so that one omission does not hide the other mistakes;
`Schema(required=True)` records that the API asks for it. Everything in a `Schema` is an OpenAPI keyword that goes into
the CustomResourceDefinition, except `required` and `rules` (pairs of a CEL rule and its message).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, dataclass_transform

import msgspec


class Schema:
    """Keywords of OpenAPI for one field or item; an annotation that decoding ignores."""

    __slots__ = ("keywords", "required", "rules")

    def __init__(self, *, required: bool = False, rules: tuple[tuple[str, str], ...] = (), **keywords: Any) -> None:
        self.required = required
        self.rules = rules
        self.keywords = keywords


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """An object of the API: snake_case attributes, camelCase fields, unknown fields noticed."""

    schema_one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of fields (as written in YAML) of which at most one may be set."""
    schema_rules: ClassVar[tuple[tuple[str, str], ...]] = ()


_SHORTEST = (("duration(self) >= duration('1ms')", "must be a valid duration greater than 1ms"),)
_PORT = (("0 < self && self <= 65535", "port must be between 1-65535"),)

Required = Schema(required=True)
Duration = Annotated[str, Schema(rules=_SHORTEST)]
Int32 = Annotated[int, Schema(format="int32")]
UInt32 = Annotated[int, Schema(minimum=0, maximum=4294967295)]
Unsigned = Annotated[int, Schema(minimum=0)]
PortNumber = Annotated[int, Schema(minimum=0, maximum=4294967295, rules=_PORT)]
BoolValue = Annotated[bool, Schema(nullable=True)]
UInt32Value = Annotated[int, Schema(minimum=0, maximum=4294967295, nullable=True)]
Percent = Annotated[float, Schema(format="double", minimum=0, maximum=100, nullable=True)]
Double = Annotated[float, Schema(format="double")]
NonEmpty = Annotated[str, Schema(minLength=1)]
FreeForm = dict[str, Any]
