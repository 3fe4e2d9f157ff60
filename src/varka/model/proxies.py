"""A proxy from what its Envoy says of itself: the node ID and the node's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varka.model.view import Proxy, ProxyType, Topology

DETAILS = frozenset({"SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"})


def parse(node_id: str, metadata: Mapping[str, Any], locality: str = "") -> Proxy | None:
    """The proxy, or None when the node ID has not the form `type~ip~pod.namespace~domain`.

    `metadata` is the node's metadata as plain values (`LABELS`, `NAMESPACE`, `SERVICE_ACCOUNT`, `WORKLOAD_NAME`, …).
    """
    parts = node_id.split("~")
    if len(parts) != 4 or parts[0] not in {ProxyType.SIDECAR, ProxyType.ROUTER}:
        return None
    kind, ip, name, domain = parts
    pod, _, namespace = name.rpartition(".")
    if not pod or not namespace:
        return None
    labels = metadata.get("LABELS")
    return Proxy(
        id=node_id,
        type=ProxyType(kind),
        name=_text(metadata, "NAME") or pod,
        namespace=_text(metadata, "NAMESPACE") or namespace,
        ip=ip,
        labels={str(key): str(value) for key, value in sorted(labels.items())} if isinstance(labels, Mapping) else {},
        service_account=_text(metadata, "SERVICE_ACCOUNT"),
        workload=_text(metadata, "WORKLOAD_NAME"),
        owner=_text(metadata, "OWNER"),
        dns_domain=domain,
        locality=locality,
        network=_text(metadata, "NETWORK"),
        cluster_id=_text(metadata, "CLUSTER_ID") or "Kubernetes",
        revision=_text(metadata, "ISTIO_REVISION") or "default",
        istio_version=_text(metadata, "ISTIO_VERSION"),
        topology=_topology(metadata.get("PROXY_CONFIG")),
        metadata={str(key): value for key, value in sorted(metadata.items()) if isinstance(value, str)},
    )


def _topology(config: object) -> Topology:
    given = config.get("gatewayTopology") if isinstance(config, Mapping) else None
    if not isinstance(given, Mapping):
        return Topology()
    trusted, details = given.get("numTrustedProxies"), given.get("forwardClientCertDetails")
    return Topology(
        trusted_proxies=max(0, int(trusted)) if isinstance(trusted, int | float) else 0,
        forward_client_cert=details if isinstance(details, str) and details in DETAILS else "",
        proxy_protocol=given.get("proxyProtocol") is not None,
    )


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""
