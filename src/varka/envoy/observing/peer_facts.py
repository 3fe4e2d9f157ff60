"""What a proxy says of itself to the other side and in its telemetry, and the variables of its environment that hold it.

Formats and tags read the environment, so that proxies of one kind have byte-equal configurations. What goes to the other
side with every request is kept small: labels `app` and `version` are sent only where they differ from the canonical name
and revision.
"""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "unknown"
FACTS = {
    "workload": "VARKA_WORKLOAD",
    "namespace": "VARKA_NAMESPACE",
    "service": "VARKA_CANONICAL_SERVICE",
    "revision": "VARKA_CANONICAL_REVISION",
    "app": "VARKA_APP",
    "version": "VARKA_VERSION",
    "cluster": "VARKA_CLUSTER",
    "mesh": "VARKA_MESH",
}
"""Fact → variable with its value."""
SENT = {
    "workload": "VARKA_WORKLOAD",
    "namespace": "VARKA_NAMESPACE",
    "service": "VARKA_CANONICAL_SERVICE",
    "revision": "VARKA_CANONICAL_REVISION",
    "app": "VARKA_SENT_APP",
    "version": "VARKA_SENT_VERSION",
}
"""Fact → variable with what the other side is told; an empty one is not sent."""
INSTEAD = {"app": "service", "version": "revision"}
"""What a fact is when it is not sent."""
RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
"""Read by Envoy's tracer: names the service that spans belong to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One workload. `service` and `revision` are the canonical ones; `app` and `version` the labels, empty when it has none."""

    workload: str
    namespace: str
    service: str = ""
    revision: str = ""
    app: str = ""
    version: str = ""
    cluster: str = "Kubernetes"
    mesh: str = "cluster.local"


def environment(facts: Facts) -> dict[str, str]:
    """The variables that a proxy must be started with."""
    service, revision = facts.service or facts.workload, facts.revision or "latest"
    app, version = facts.app or UNKNOWN, facts.version or UNKNOWN
    return {
        FACTS["workload"]: facts.workload,
        FACTS["namespace"]: facts.namespace,
        FACTS["service"]: service,
        FACTS["revision"]: revision,
        FACTS["app"]: app,
        FACTS["version"]: version,
        FACTS["cluster"]: facts.cluster,
        FACTS["mesh"]: facts.mesh,
        SENT["app"]: "" if app == service else app,
        SENT["version"]: "" if version == revision else version,
        RESOURCE_ATTRIBUTES: f"service.name={service}.{facts.namespace}",
    }
