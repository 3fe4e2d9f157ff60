"""Refusals as Kubernetes words them: one function for each reason, each giving an ApiError with code, reason, message and details."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from varka.client.api import ApiError, Object

if TYPE_CHECKING:
    from varka.cluster.apiserver.registry import ResourceInfo


class Cause(NamedTuple):
    """One thing wrong with an object: where, which kind of wrong, and the text after the field's name."""

    field: str
    reason: str
    text: str


def required(field: str, detail: str = "") -> Cause:
    """A field that must be given."""
    return Cause(field, "FieldValueRequired", "Required value" + (f": {detail}" if detail else ""))


def invalid(field: str, value: Any, detail: str) -> Cause:
    """A value that is not acceptable."""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {show(value)}: {detail}")


def type_invalid(field: str, value: Any, detail: str) -> Cause:
    """A value of the wrong type, in a custom resource."""
    return Cause(field, "FieldValueTypeInvalid", f"Invalid value: {show(value)}: {detail}")


def not_supported(field: str, value: Any, allowed: Sequence[Any]) -> Cause:
    """A value outside an enumeration."""
    names = ", ".join(show(item) for item in allowed)
    return Cause(field, "FieldValueNotSupported", f"Unsupported value: {show(value)}: supported values: {names}")


def duplicate(field: str, value: Any) -> Cause:
    """A value that is there twice."""
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {show(value)}")


def not_found_value(field: str, value: Any) -> Cause:
    """A reference inside the object to something that is not in it."""
    return Cause(field, "FieldValueNotFound", f"Not found: {show(value)}")


def forbidden_value(field: str, detail: str) -> Cause:
    """A value that must not be given here."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {detail}")


def too_long(field: str, limit: int) -> Cause:
    """A text that is too long."""
    return Cause(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def show(value: Any) -> str:
    """A value as Go prints it in messages: texts quoted, objects as JSON."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _details(info: ResourceInfo | None, name: str, **more: Any) -> Object:
    details: Object = {}
    if name:
        details["name"] = name
    if info is not None:
        if info.group:
            details["group"] = info.group
        details["kind"] = info.resource
    return {**details, **more}


def not_found(info: ResourceInfo, name: str) -> ApiError:
    """404 for an object that is not there."""
    return ApiError(404, "NotFound", f'{info.qualified} "{name}" not found', _details(info, name))


def path_not_found() -> ApiError:
    """404 for a path that nothing serves."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(info: ResourceInfo, name: str) -> ApiError:
    """409 for creating what is there."""
    return ApiError(409, "AlreadyExists", f'{info.qualified} "{name}" already exists', _details(info, name))


_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(info: ResourceInfo, name: str, message: str = _MODIFIED) -> ApiError:
    """409 for a write to another version than the stored one."""
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {info.qualified} "{name}": {message}', _details(info, name))


def unprocessable(info: ResourceInfo, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 with everything that is wrong with an object."""
    texts = [f"{cause.field}: {cause.text}" for cause in dict.fromkeys(causes)]
    shown = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details: Object = {"name": name} if name else {}
    if info.group:
        details["group"] = info.group
    details["kind"] = info.kind
    details["causes"] = [{"reason": cause.reason, "message": cause.text, "field": cause.field} for cause in dict.fromkeys(causes)]
    return ApiError(422, "Invalid", f'{info.qualified_kind} "{name}" is invalid: {shown}', details)


def forbidden(info: ResourceInfo | None, name: str, message: str, causes: list[Object] | None = None) -> ApiError:
    """403 by a rule of the server itself; `message` says why."""
    qualified = info.qualified if info else ""
    details = _details(info, name, **({"causes": causes} if causes else {}))
    return ApiError(403, "Forbidden", f'{qualified} "{name}" is forbidden: {message}', details)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def method_not_allowed(message: str = "the server does not allow this method on the requested resource") -> ApiError:
    """405."""
    return ApiError(405, "MethodNotAllowed", message)


def too_large() -> ApiError:
    """413 for a body over the limit."""
    return ApiError(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728")


def unsupported_media(accepted: Sequence[str]) -> ApiError:
    """415 for a body in a format that is not known."""
    listed = ", ".join(accepted)
    return ApiError(415, "UnsupportedMediaType", f"the body of the request was in an unknown format - accepted media types include: {listed}")


def expired(message: str) -> ApiError:
    """410 for a version that is no longer known."""
    return ApiError(410, "Expired", message)


def internal(message: str) -> ApiError:
    """500 for a failure that is not the caller's."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")
