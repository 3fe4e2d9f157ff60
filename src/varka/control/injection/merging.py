"""A container that the user wrote, laid over the one of the template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varka.client.api import Object

_KEYS = {"env": "name", "ports": "containerPort", "volumeMounts": "mountPath", "volumeDevices": "devicePath"}


def container(base: Object, over: Object) -> Object:
    """Objects are merged, keyed lists are merged by key, everything else is replaced; empty objects change nothing."""
    result = dict(base)
    for name, value in over.items():
        if name in _KEYS and isinstance(value, list) and isinstance(result.get(name), list):
            result[name] = _keyed(result[name], value, _KEYS[name])
        elif isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            result[name] = _objects(result[name], value)
        elif value is not None:
            result[name] = value
    return result


def _objects(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in over.items():
        result[name] = _objects(result[name], value) if isinstance(value, Mapping) and isinstance(result.get(name), Mapping) else value
    return result


def _keyed(base: list[Object], over: list[Object], key: str) -> list[Object]:
    result = {one.get(key): one for one in base}
    for one in over:
        result[one.get(key)] = {**result.get(one.get(key), {}), **one} if "valueFrom" not in one and "value" not in one else one
    return list(result.values())
