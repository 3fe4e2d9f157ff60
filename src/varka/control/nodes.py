"""Who is at the other end of a stream: from Envoy's node and the certificate to a `Proxy`.

The namespace and service account of the certificate must be those of the node. Labels come from the Pod object where
there is one, because what a node says of itself decides which policies it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from varka.client.api import Object
from varka.identity import spiffe
from varka.model.view import Proxy, ProxyType
from varka.xds.server import Client, Node, RefusedError

PodLookup = Callable[[str, str], Object | None]
"""From name and namespace to the Pod."""


def proxy(client: Client, pod_of: PodLookup, trust_domains: frozenset[str]) -> Proxy:
    """The proxy behind a stream; RefusedError when the certificate does not fit the node, or the node is malformed."""
    node = client.node
    parts = node.id.split("~")
    if len(parts) != 4 or parts[0] not in {"sidecar", "router"} or "." not in parts[2]:
        raise RefusedError(f"the node ID {node.id!r} is not of the form type~ip~pod.namespace~domain")
    name, _, namespace = parts[2].rpartition(".")
    identity = spiffe.parse(client.peer)
    if identity is None or identity.trust_domain not in trust_domains:
        raise RefusedError(f"the certificate of {client.peer or 'nobody'} is not of this mesh")
    pod = pod_of(name, namespace)
    account = _service_account(node, pod)
    if identity.namespace != namespace or (account and identity.service_account != account):
        raise RefusedError(f"the certificate is for {identity.namespace}/{identity.service_account}, the node is {namespace}/{account or '?'}")
    metadata = node.metadata
    return Proxy(
        id=node.id,
        type=ProxyType(parts[0]),
        name=name,
        namespace=namespace,
        ip=parts[1],
        labels=_labels(node, pod),
        service_account=identity.service_account,
        workload=str(metadata.get("WORKLOAD_NAME") or ""),
        owner=str(metadata.get("OWNER") or ""),
        dns_domain=parts[3],
        locality=node.locality,
        network=str(metadata.get("NETWORK") or ""),
        cluster_id=str(metadata.get("CLUSTER_ID") or "Kubernetes"),
        istio_version=str(metadata.get("ISTIO_VERSION") or ""),
        metadata={key: value for key, value in metadata.items() if isinstance(value, str)},
    )


def _service_account(node: Node, pod: Object | None) -> str:
    if pod is not None:
        return str((pod.get("spec") or {}).get("serviceAccountName") or "default")
    return str(node.metadata.get("SERVICE_ACCOUNT") or "")


def _labels(node: Node, pod: Object | None) -> dict[str, str]:
    found: Any = (pod["metadata"].get("labels") if pod is not None else node.metadata.get("LABELS")) or {}
    return {str(key): str(value) for key, value in sorted(found.items())} if isinstance(found, Mapping) else {}
