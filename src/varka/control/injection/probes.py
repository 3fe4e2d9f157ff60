"""The kubelet's probes and life-cycle hooks, sent through the agent.

Under STRICT mutual TLS the kubelet's own plain request would be refused, so it asks the agent, which asks the
application from inside the pod.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from varka.client.api import Object

_PROBES = {"livenessProbe": "livez", "readinessProbe": "readyz", "startupProbe": "startupz"}
_HOOKS = {"postStart": "poststartz", "preStop": "prestopz"}


def rewrite(containers: Iterable[Object], status_port: int, proxy: str = "istio-proxy") -> tuple[list[Object], dict[str, Any]]:
    """The containers with rewritten probes, and what the agent has to do for each path."""
    changed: list[Object] = []
    probers: dict[str, Any] = {}
    for container in containers:
        changed.append(container if container["name"] == proxy else _one(container, status_port, probers))
    return changed, {path: probers[path] for path in sorted(probers)}


def _one(container: Object, status_port: int, probers: dict[str, Any]) -> Object:
    result = copy.copy(container)
    for field, word in _PROBES.items():
        probe = container.get(field)
        if probe:
            path = f"/app-health/{container['name']}/{word}"
            action = _action(probe, container, status_port)
            if action is not None:
                timeout = probe.get("timeoutSeconds")
                probers[path] = {**action, **({"timeoutSeconds": timeout} if timeout else {})}
                result[field] = _redirected(probe, path, status_port)
    hooks = container.get("lifecycle") or {}
    for hook, word in _HOOKS.items():
        handler = hooks.get(hook)
        action = _action(handler, container, status_port) if handler else None
        if handler and action is not None:
            path = f"/app-lifecycle/{container['name']}/{word}"
            probers[path] = action
            result["lifecycle"] = {**(result.get("lifecycle") or {}), hook: _redirected(handler, path, status_port)}
    return result


def _action(probe: Mapping[str, Any], container: Object, status_port: int) -> dict[str, Any] | None:
    """The probe with its port as a number; None for what stays as it is."""
    if probe.get("httpGet"):
        http = probe["httpGet"]
        port = _port(http.get("port"), container)
        if port is None or port == status_port:
            return None
        kept = {name: http[name] for name in ("path", "host", "httpHeaders") if http.get(name)}
        scheme = {"scheme": http["scheme"]} if http.get("scheme") not in (None, "", "HTTP") else {}
        return {"httpGet": {**kept, "port": port, **scheme}}
    if probe.get("tcpSocket"):
        port = _port(probe["tcpSocket"].get("port"), container)
        return None if port is None else {"tcpSocket": {"port": port}}
    if probe.get("grpc"):
        grpc = probe["grpc"]
        return {"grpc": {"port": grpc["port"], **({"service": grpc["service"]} if grpc.get("service") else {"service": None})}}
    return None


def _redirected(probe: Mapping[str, Any], path: str, status_port: int) -> dict[str, Any]:
    rest = {name: value for name, value in probe.items() if name not in ("httpGet", "tcpSocket", "grpc")}
    http = {name: value for name, value in (probe.get("httpGet") or {}).items() if name not in ("path", "port", "scheme")}
    scheme = {"scheme": "HTTP"} if (probe.get("httpGet") or {}).get("scheme") else {}
    return {**rest, "httpGet": {**http, "path": path, "port": status_port, **scheme}}


def _port(port: object, container: Object) -> int | None:
    if isinstance(port, int):
        return port
    if isinstance(port, str) and port.isdigit():
        return int(port)
    return next((one["containerPort"] for one in container.get("ports") or [] if one.get("name") == port), None)
