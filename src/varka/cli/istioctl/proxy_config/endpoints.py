"""The endpoint table, from Envoy's live view (`/clusters`) or from the dump's load assignments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

HEADER = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")


class Filter(NamedTuple):
    """What `--address`, `--port`, `--cluster` and `--status` leave; empty means all."""

    address: str = ""
    port: int = 0
    cluster: str = ""
    status: str = ""

    def passes(self, endpoint: Endpoint) -> bool:
        host, _, number = endpoint.address.rpartition(":")
        return (
            (not self.address or self.address.lower() == host.lower())
            and (not self.port or str(self.port) == number)
            and (not self.cluster or self.cluster == endpoint.cluster)
            and (not self.status or self.status.lower() == endpoint.status.lower())
        )


class Endpoint(NamedTuple):
    address: str
    status: str
    outlier: str
    cluster: str


def live(document: Mapping[str, Any]) -> Iterator[Endpoint]:
    """From the answer to `/clusters?format=json`."""
    for cluster in document.get("cluster_statuses", []):
        for host in cluster.get("host_statuses", []):
            health = host.get("health_status") or {}
            status = "HEALTHY" if set(health) <= {"eds_health_status"} and health.get("eds_health_status", "HEALTHY") in {"HEALTHY", "UNKNOWN"} else "UNHEALTHY"
            if health.get("eds_health_status") == "DRAINING":
                status = "DRAINING"
            yield Endpoint(address_of(host.get("address") or {}), status, "FAILED" if health.get("failed_outlier_check") else "OK", str(cluster["name"]))


def dumped(assignments: list[dict[str, Any]]) -> Iterator[Endpoint]:
    """From load assignments, which know nothing of outliers."""
    for assignment in assignments:
        for locality in assignment.get("endpoints", []):
            for entry in locality.get("lb_endpoints", []):
                address = address_of((entry.get("endpoint") or {}).get("address") or {})
                yield Endpoint(address, str(entry.get("health_status", "HEALTHY")), "OK", str(assignment.get("cluster_name", "")))


def address_of(address: Mapping[str, Any]) -> str:
    """`ip:port`, `unix://path`, or the name of an internal listener."""
    if "socket_address" in address:
        return f"{address['socket_address']['address']}:{address['socket_address'].get('port_value', 0)}"
    if "pipe" in address:
        return f"unix://{address['pipe']['path']}"
    internal = address.get("envoy_internal_address") or {}
    return f"envoy://{internal.get('server_listener_name', '')}/{internal.get('endpoint_id', '')}"


def matching(assignment: Mapping[str, Any], wanted: Filter) -> bool:
    """Whether any endpoint of a load assignment passes."""
    return any(wanted.passes(each) for each in dumped([dict(assignment)]))


def rows(found: Iterator[Endpoint], wanted: Filter) -> Iterator[tuple[str, ...]]:
    """By address, then cluster."""
    yield HEADER
    yield from sorted(endpoint for endpoint in found if wanted.passes(endpoint))
