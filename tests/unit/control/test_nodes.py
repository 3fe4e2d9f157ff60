from __future__ import annotations

from typing import Any

import pytest

from varka.control import nodes
from varka.xds.server import Client, Node, RefusedError
from varka.xds.streams import StreamState

DOMAINS = frozenset({"cluster.local"})
REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews"


def client(peer: str = REVIEWS, node: str = "sidecar~10.0.0.1~reviews-1.default~default.svc.cluster.local", **metadata: Any) -> Client:
    """A stream."""
    return Client(id="1", node=Node(id=node, metadata={"SERVICE_ACCOUNT": "reviews", **metadata}), peer=peer, state=StreamState(), connected_at=0.0)


def test_node_becomes_a_proxy() -> None:
    """Node ID, metadata and certificate together."""
    found = nodes.proxy(client(WORKLOAD_NAME="reviews-v1", LABELS={"app": "reviews"}), None, DOMAINS)
    assert (found.name, found.namespace, found.ip, found.service_account) == ("reviews-1", "default", "10.0.0.1", "reviews")
    assert (found.workload, found.labels) == ("reviews-v1", {"app": "reviews"})


def test_labels_of_the_pod_come_before_those_that_the_node_claims() -> None:
    """A proxy cannot choose its policies."""
    pod = {"metadata": {"labels": {"app": "reviews"}}, "spec": {"serviceAccountName": "reviews"}}
    assert nodes.proxy(client(LABELS={"app": "admin"}), pod, DOMAINS).labels == {"app": "reviews"}


@pytest.mark.parametrize(
    "given",
    [
        client("spiffe://cluster.local/ns/other/sa/reviews"),
        client("spiffe://cluster.local/ns/default/sa/ratings"),
        client("spiffe://elsewhere/ns/default/sa/reviews"),
        client(""),
        client(node="nonsense"),
        client(node="waypoint~1~a.b~c"),
    ],
)
def test_certificate_must_fit_the_node(given: Client) -> None:
    """Another namespace, account or trust domain, no certificate, or a node ID that is none."""
    with pytest.raises(RefusedError):
        nodes.proxy(given, None, DOMAINS)
