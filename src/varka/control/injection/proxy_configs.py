"""The ProxyConfig of one pod, out of everything that may say something of it.

The mesh's `defaultConfig` comes first, then ProxyConfig resources of the root namespace and of the pod's namespace, then the
pod's annotation, then the ProxyConfig resource that selects the pod; the later wins, field by field. Of two resources of
one level the older wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from varka.base.errors import VarkaError
from varka.resources.parsing import Parsed
from varka.resources.traffic.proxy_configs import ProxyConfig

ANNOTATION = "proxy.istio.io/config"
DISCOVERY = "sidecar.istio.io/discoveryAddress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What decides which resources are for a pod."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def effective(default: Any, given: Iterable[Parsed[ProxyConfig]], root: str, pod: Workload) -> dict[str, Any]:
    """What holds for the pod; VarkaError when its annotation is no YAML object."""
    found = sorted((item for item in given if item.spec is not None), key=lambda item: item.meta.age_order, reverse=True)
    merged: dict[str, Any] = dict(default) if isinstance(default, Mapping) else {}
    for namespace in dict.fromkeys((root, pod.namespace)):
        for item in found:
            if item.meta.namespace == namespace and not _selector(item):
                merged = _over(merged, _plain(item))
    merged = _over(merged, _annotation(pod.annotations))
    for item in found:
        selector = _selector(item)
        if item.meta.namespace == pod.namespace and selector and selector.items() <= pod.labels.items():
            merged = _over(merged, _plain(item))
    if pod.annotations.get(DISCOVERY):
        merged["discoveryAddress"] = pod.annotations[DISCOVERY]
    return merged


def _selector(item: Parsed[ProxyConfig]) -> Mapping[str, str]:
    spec = item.spec
    return spec.selector.match_labels if spec is not None and spec.selector is not None else {}


def _plain(item: Parsed[ProxyConfig]) -> dict[str, Any]:
    """The resource in the words of the mesh's own ProxyConfig, where environment variables are metadata of the proxy."""
    spec = item.spec
    assert spec is not None
    result: dict[str, Any] = {}
    if spec.concurrency is not None:
        result["concurrency"] = spec.concurrency
    if spec.environment_variables:
        result["proxyMetadata"] = dict(spec.environment_variables)
    if spec.image is not None and spec.image.image_type:
        result["image"] = {"imageType": spec.image.image_type}
    return result


def _annotation(annotations: Mapping[str, str]) -> dict[str, Any]:
    text = annotations.get(ANNOTATION)
    if not text:
        return {}
    try:
        given = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise VarkaError(f"the annotation {ANNOTATION} is no YAML: {error}", "write it as a ProxyConfig") from error
    if not isinstance(given, dict):
        raise VarkaError(f"the annotation {ANNOTATION} is no object", "write it as a ProxyConfig, such as 'concurrency: 2'")
    return given


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        kept = merged.get(name)
        merged[name] = {**kept, **value} if isinstance(value, dict) and isinstance(kept, dict) else value
    return merged
