"""Annotations of pods that are accepted and have no effect here, with the reason; and what to say of a pod that has them."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from varka.base.errors import VarkaError
from varka.model import mesh_fields
from varka.resources import known_annotations

_SIDECARS = "it concerns meshes without sidecars"
NO_EFFECT: Mapping[str, str] = {
    "ambient.istio.io/bypass-inbound-capture": _SIDECARS,
    "ambient.istio.io/dns-capture": _SIDECARS,
    "ambient.istio.io/redirection": _SIDECARS,
    "readiness.status.sidecar.istio.io/applicationPorts": "the application has probes of its own",
    "sidecar.istio.io/extraStatTags": "add tags to metrics with a Telemetry resource",
    "sidecar.istio.io/statsCompression": "metrics are served as the scraper asks for them",
    "sidecar.istio.io/statsEvictionInterval": "statistics are kept for as long as Envoy runs",
}
CONFIG = "proxy.istio.io/config"
_OURS_TOO = frozenset({"sidecar.istio.io/capNetBindService"})
"""Followed by the injector, and in no reference."""


def check(annotations: Mapping[str, str]) -> None:
    """VarkaError when an annotation has a value that the injector cannot follow: Istio refuses such a pod as well."""
    for name in sorted(annotations):
        known = known_annotations.KNOWN.get(name)
        if known is not None and known.check is not None:
            try:
                known.check(str(annotations[name]))
            except ValueError as problem:
                raise VarkaError(f"annotation {name}: {problem}", "correct it, or leave it out") from problem


def findings(annotations: Mapping[str, str]) -> list[str]:
    """A sentence for each annotation of a pod that does nothing or is unknown."""
    found: list[str] = []
    for name in sorted(annotations):
        if not known_annotations.ours(name):
            continue
        known = known_annotations.KNOWN.get(name)
        if name in NO_EFFECT:
            found.append(f"annotation {name} has no effect: {NO_EFFECT[name]}")
        elif known is None and name not in _OURS_TOO:
            found.append(f"annotation {name} is unknown")
    return [*found, *_proxy_config(annotations.get(CONFIG, ""))]


def _proxy_config(text: str) -> list[str]:
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError:
        return []
    return [item.text for item in mesh_fields.proxy_config(given, CONFIG)] if isinstance(given, Mapping) else []
