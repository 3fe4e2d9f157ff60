"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386)."""

from __future__ import annotations

import copy
from typing import Any

from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors

MAX_OPERATIONS = 10000


def json_patch(obj: Object, operations: Any) -> Object:
    """The object after a list of operations; ApiError 422 when one cannot be done, 400 when it is no patch."""
    import jsonpatch
    import jsonpointer

    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise errors.bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if len(operations) > MAX_OPERATIONS:
        raise ApiError(413, "RequestEntityTooLarge", f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}")
    try:
        result = jsonpatch.apply_patch(obj, operations)
    except jsonpatch.InvalidJsonPatch as error:
        raise errors.bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {error}") from error
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {error}") from error
    if not isinstance(result, dict):
        raise ApiError(422, "Invalid", "the server rejected our request due to an error in our request: the result is no object")
    return result


def merge_patch(target: Any, patch: Any) -> Any:
    """The value after a merge patch: objects are merged, null removes, everything else replaces. The input is not changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result
