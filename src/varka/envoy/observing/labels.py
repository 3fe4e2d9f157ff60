"""The labels of Istio's standard metrics as log format strings, for what a proxy sends and for what it takes.

What a proxy knows of itself comes from its environment (see `peer_facts`), what it knows of the other side from the
endpoint's and the cluster's metadata (sending) or from the kept peer header and the certificate (receiving). A format
without a value is empty; `exposition` makes `unknown` of it, as Istio does.

Envoy takes its time for every label of every metric of every request, so all of a metric's labels are one to it (`packed`),
which `exposition` takes apart when it is asked: once in a while instead of with every request.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from varka.envoy.observing import exposition, peer_facts
from varka.envoy.security import peers
from varka.model.telemetry import Metrics

SERVICE_NAME = "service_name"
"""Key below `istio` in the metadata of clusters, and of routes that lead to none."""


class Where(Struct, frozen=True, kw_only=True):
    """What takes the requests: a port of a service, or, without a host, whatever the application listens on."""

    mutual_tls: bool
    host: str = ""
    name: str = ""
    namespace: str = ""


def _own(fact: str) -> str:
    return f"%ENVIRONMENT({peer_facts.FACTS[fact]})%"


def _endpoint(key: str) -> str:
    return f"%UPSTREAM_METADATA(istio:{key})%"


def cluster(key: str) -> str:
    """A value that the cluster's metadata has."""
    return f"%CLUSTER_METADATA(istio:{key})%"


SENDING: Mapping[str, str] = {
    "reporter": "source",
    "source_workload": _own("workload"),
    "source_canonical_service": _own("service"),
    "source_canonical_revision": _own("revision"),
    "source_workload_namespace": _own("namespace"),
    "source_principal": "%UPSTREAM_LOCAL_URI_SAN%",
    "source_app": _own("app"),
    "source_version": _own("version"),
    "source_cluster": _own("cluster"),
    "destination_workload": _endpoint("workload_name"),
    "destination_workload_namespace": _endpoint("workload_namespace"),
    "destination_principal": "%UPSTREAM_PEER_URI_SAN%",
    "destination_app": _endpoint("app"),
    "destination_version": _endpoint("version"),
    "destination_service": cluster("service_host"),
    "destination_canonical_service": _endpoint("canonical_service"),
    "destination_canonical_revision": _endpoint("canonical_revision"),
    "destination_service_name": f"{cluster(SERVICE_NAME)}%METADATA(ROUTE:istio:{SERVICE_NAME})%",
    "destination_service_namespace": cluster("service_namespace"),
    "destination_cluster": _endpoint("cluster"),
    "connection_security_policy": "unknown",
}
SENDING_BYTES: Mapping[str, str] = {**SENDING, "destination_service_name": cluster(SERVICE_NAME)}
"""Connections have no route."""


def receiving(where: Where, of_requests: bool) -> dict[str, str]:
    """Labels of what arrives; callers of plain connections say nothing of themselves."""

    def peer(fact: str) -> str:
        return f"{exposition.FROM_PEER}{fact}" if of_requests else peer_facts.UNKNOWN

    return {
        "reporter": "destination",
        "source_workload": peer("workload"),
        "source_canonical_service": peer("service"),
        "source_canonical_revision": peer("revision"),
        "source_workload_namespace": peer("namespace"),
        "source_principal": "%DOWNSTREAM_PEER_URI_SAN%",
        "source_app": peer("app"),
        "source_version": peer("version"),
        "source_cluster": _own("cluster") if where.mutual_tls else peer_facts.UNKNOWN,
        "destination_workload": _own("workload"),
        "destination_workload_namespace": _own("namespace"),
        "destination_principal": "%DOWNSTREAM_LOCAL_URI_SAN%",
        "destination_app": _own("app"),
        "destination_version": _own("version"),
        "destination_service": where.host or peer_facts.UNKNOWN,
        "destination_canonical_service": _own("service"),
        "destination_canonical_revision": _own("revision"),
        "destination_service_name": where.name or peer_facts.UNKNOWN,
        "destination_service_namespace": where.namespace or peer_facts.UNKNOWN,
        "destination_cluster": _own("cluster"),
        "connection_security_policy": "mutual_tls" if where.mutual_tls else "none",
    }


def changed(labels: Mapping[str, str], metrics: Metrics, metric: str) -> dict[str, str]:
    """The labels of one metric after the changes that Telemetry asks for."""
    result = dict(labels)
    for label, expression in dict(metrics.tags).get(metric, ()):
        if expression:
            result[label] = f"%CEL({' '.join(expression.split())})%"
        else:
            result.pop(label, None)
    return result


def packed(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels as Envoy is to have them: in one, except for computed ones, whose values may contain anything."""
    computed = {label: value for label, value in labels.items() if value.startswith("%CEL(")}
    parts = [f"{label}={value}" for label, value in labels.items() if value and label not in computed]
    if any(value.startswith(exposition.FROM_PEER) for value in labels.values()):
        parts.append(f"{exposition.PEER}=%FILTER_STATE({peers.STATE}:PLAIN)%")
    return {**({exposition.PACKED: peer_facts.BETWEEN.join(parts)} if parts else {}), **computed}
