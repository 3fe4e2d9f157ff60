"""Who is at the other end of a stream: from Envoy's node and the certificate to a `Proxy`.

The namespace and service account of the certificate must be those of the node. Labels come from the Pod object where
there is one, because what a node says of itself decides which policies it gets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from varka.client.api import Object
from varka.identity import spiffe
from varka.model import proxies
from varka.model.view import Proxy
from varka.xds.server import Client, RefusedError

PodLookup = Callable[[str, str], Object | None]
"""From name and namespace to the Pod."""


def proxy(client: Client, pod_of: PodLookup, trust_domains: frozenset[str]) -> Proxy:
    """The proxy behind a stream; RefusedError when the certificate does not fit the node, or the node is malformed."""
    node = client.node
    claimed = proxies.parse(node.id, node.metadata, node.locality)
    if claimed is None:
        raise RefusedError(f"the node ID {node.id!r} is not of the form type~ip~pod.namespace~domain")
    name, _, namespace = node.id.split("~")[2].rpartition(".")
    identity = spiffe.parse(client.peer)
    if identity is None or identity.trust_domain not in trust_domains:
        raise RefusedError(f"the certificate of {client.peer or 'nobody'} is not of this mesh")
    pod = pod_of(name, namespace)
    account = claimed.service_account if pod is None else str((pod.get("spec") or {}).get("serviceAccountName") or "default")
    if identity.namespace != namespace or (account and identity.service_account != account):
        raise RefusedError(f"the certificate is for {identity.namespace}/{identity.service_account}, the node is {namespace}/{account or '?'}")
    labels = claimed.labels if pod is None else dict(sorted((pod["metadata"].get("labels") or {}).items()))
    return dataclasses.replace(claimed, name=name, namespace=namespace, service_account=identity.service_account, labels=labels)
