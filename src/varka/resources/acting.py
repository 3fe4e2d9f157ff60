"""Fields that are read and kept, but that no stage acts on yet.

A user who sets one is told so on the resource itself: silence would look like success. Each entry of the table is a
path below `spec`, where `*` stands for every item of a list or map, and `=VALUE` restricts it to one value; the empty
path stands for the whole kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from varka.resources import conditions, shapes
from varka.resources.conditions import Condition
from varka.resources.parsing import Parsed
from varka.resources.schema import Spec

_TARGETS = tuple(f"{where}.kind={kind}" for where in ("targetRef", "targetRefs.*") for kind in ("Service", "ServiceEntry", "GatewayClass"))
"""They are for waypoints, which a mesh of sidecars does not have."""

NOT_ACTED_ON: Mapping[str, tuple[str, ...]] = {
    "VirtualService": (
        "http.*.fault.abort.http2Error",
        "http.*.fault.delay.exponentialDelay",
    ),
    "Gateway": ("servers.*.defaultEndpoint",),
    "ServiceEntry": ("resolution=DYNAMIC_DNS",),
    "WorkloadGroup": ("probe",),
    "WasmPlugin": ("imagePullSecret", "verificationKey"),
    "Telemetry": ("metrics.*.reportingInterval", "metrics.*.overrides.*.match.customMetric"),
    "AuthorizationPolicy": _TARGETS,
    "RequestAuthentication": _TARGETS,
}


FOR_GOOD: Mapping[str, str] = {
    "http2Error": "Envoy injects HTTP and gRPC statuses only; use httpStatus or grpcStatus",
    "exponentialDelay": "Envoy injects fixed delays only; use fixedDelay",
}
"""Fields that nothing could act on, by name, with the reason and what to write instead."""


def not_acted_on(parsed: Parsed[Any]) -> tuple[Condition, ...]:
    """The fields of a resource that are set and without effect, each as a condition."""
    spec = parsed.spec
    if not isinstance(spec, Spec):
        return ()
    found: list[Condition] = []
    for pattern in NOT_ACTED_ON.get(parsed.kind, ()):
        path, _, value = pattern.partition("=")
        steps = tuple(path.split(".")) if path else ()
        for where in _set(spec, steps, value, "spec"):
            what = parsed.kind if not steps else f"{steps[-1]} {value}".strip()
            reason = FOR_GOOD.get(steps[-1]) if steps else None
            text = f"has no effect: {reason}" if reason else f"accepted, but {what} is not acted on yet"
            found.append(conditions.info(where if steps else "", text, "NotActedOn"))
    return tuple(found)


def _set(value: Any, steps: tuple[str, ...], wanted: str, path: str) -> Iterator[str]:
    """The concrete paths of a pattern that have a value; with `wanted`, that value."""
    if not steps:
        if (not wanted and not _is_default(value)) or (wanted and value == wanted) or path == "spec":
            yield path
        return
    step, rest = steps[0], steps[1:]
    if step == "*":
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _set(item, rest, wanted, f"{path}[{key}]")
    elif isinstance(value, Spec):
        field = shapes.record(type(value)).fields[step]
        yield from _set(getattr(value, field.attribute), rest, wanted, f"{path}.{step}")


def _is_default(value: Any) -> bool:
    return value is None or value in ("", "DEFAULT", (), {}) or value is False
