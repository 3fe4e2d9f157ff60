"""Who is at the other end of a stream: from Envoy's node and the certificate to a `Proxy`.

The namespace and service account of the certificate must be those of the node. Labels come from the Pod object where
there is one, because what a node says of itself decides which policies it gets.
"""

from __future__ import annotations

from msgspec.structs import replace

from varka.client.api import Object
from varka.identity import spiffe
from varka.model import proxies
from varka.model.view import Proxy
from varka.xds.server import Client, RefusedError


def pod_name(client: Client) -> tuple[str, str]:
    """Name and namespace of the pod that a node claims to be; empty when its ID is malformed."""
    parts = client.node.id.split("~")
    name, _, namespace = (parts[2] if len(parts) > 2 else "").rpartition(".")
    return name, namespace


def proxy(client: Client, pod: Object | None, trust_domains: frozenset[str]) -> Proxy:
    """The proxy behind a stream, with its Pod object if there is one; RefusedError when the certificate does not fit the node, or the node is malformed."""
    node = client.node
    claimed = proxies.parse(node.id, node.metadata, node.locality)
    if claimed is None:
        raise RefusedError(f"the node ID {node.id!r} is not of the form type~ip~pod.namespace~domain")
    name, namespace = pod_name(client)
    identity = spiffe.parse(client.peer)
    if identity is None or identity.trust_domain not in trust_domains:
        raise RefusedError(f"the certificate of {client.peer or 'nobody'} is not of this mesh")
    account = claimed.service_account if pod is None else str((pod.get("spec") or {}).get("serviceAccountName") or "default")
    if identity.namespace != namespace or (account and identity.service_account != account):
        raise RefusedError(f"the certificate is for {identity.namespace}/{identity.service_account}, the node is {namespace}/{account or '?'}")
    labels = claimed.labels if pod is None else dict(sorted((pod["metadata"].get("labels") or {}).items()))
    return replace(claimed, name=name, namespace=namespace, service_account=identity.service_account, labels=labels)
