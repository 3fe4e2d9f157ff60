"""Resources as a user writes them, turned into what changes a proxy's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from msgspec.structs import replace

from varka import resources
from varka.model import inputs, snapshot, views
from varka.model.extending.wasm_code import CodeSource, KnownCode
from varka.model.patches import Extensions
from varka.model.view import Proxy, ProxyView


def of(proxy: Proxy, written: Iterable[Mapping[str, Any]] | str, modules: Mapping[str, bytes] | None = None) -> Extensions:
    """What these resources, or YAML documents of them, mean for a proxy; `modules` have been fetched from these URLs."""
    found = [item for item in yaml.safe_load_all(written) if item] if isinstance(written, str) else list(written)
    parsed = [resources.parse(item) for item in found]
    assert not any(item.failed for item in parsed), [item.conditions for item in parsed]
    known = KnownCode(code={CodeSource(url=url): code for url, code in (modules or {}).items()})
    return views.view(snapshot.build(replace(inputs.of(parsed), wasm_code=known)), proxy).extensions


def extended(view: ProxyView, written: Iterable[Mapping[str, Any]] | str, modules: Mapping[str, bytes] | None = None) -> ProxyView:
    """The view of a proxy that these resources are for."""
    return replace(view, extensions=of(view.proxy, written, modules))


def envoy_filter(*patches: Mapping[str, Any], name: str = "f", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    """An EnvoyFilter with these patches."""
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**spec, "configPatches": list(patches)},
    }


def patch(place: str, operation: str, value: Mapping[str, Any] | None = None, match: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One patch."""
    change: dict[str, Any] = {"operation": operation, **more}
    if value is not None:
        change["value"] = dict(value)
    return {"applyTo": place, "patch": change, **({"match": dict(match)} if match is not None else {})}
