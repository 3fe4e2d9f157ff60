"""What a proxy says of itself to the other side and in its telemetry, and the variables of its environment that hold it.

Formats and tags read the environment, so that proxies of one kind have byte-equal configurations. What goes to the other
side with every request is kept small: one text with all facts in a fixed order, in which labels `app` and `version` are
empty unless they differ from the canonical name and revision.
"""

from __future__ import annotations

from msgspec import Struct

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
SENT = ("workload", "namespace", "service", "revision", "app", "version")
"""What the other side is told, in this order."""
SENT_VARIABLE = "VARKA_PEER"
"""Variable with the text that says it."""
BETWEEN = "|"
"""Stands between the parts of a text; no name of Kubernetes has one."""
INSTEAD = {"app": "service", "version": "revision"}
"""What a fact is when it is sent empty."""
RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
"""Read by Envoy's tracer: names the service that spans belong to."""


class Facts(Struct, frozen=True, kw_only=True):
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
        SENT_VARIABLE: BETWEEN.join(
            (facts.workload, facts.namespace, service, revision, "" if app == service else app, "" if version == revision else version)
        ),
        RESOURCE_ATTRIBUTES: f"service.name={service}.{facts.namespace}",
    }


def said(text: str) -> dict[str, str]:
    """Fact → value in the text that a proxy sends; what it does not say is empty."""
    found = dict(zip(SENT, text.split(BETWEEN), strict=False))
    return {fact: found.get(fact) or found.get(INSTEAD.get(fact, ""), "") for fact in SENT}
