from __future__ import annotations

from varka.cluster.controllers import slices


def _service(**spec):
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}], **spec}}


def _pod(name="a", ip="10.244.0.2", ready=True, number=8080, **meta):
    ports = [{"name": "http", "containerPort": number}]
    status = {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": str(ready)}]}
    meta = {"name": name, "namespace": "default", "uid": f"u-{name}", "labels": {"app": "web"}, **meta}
    return {"metadata": meta, "spec": {"nodeName": "varka", "containers": [{"name": "c", "ports": ports}]}, "status": status}


def test_an_endpoint_says_where_and_whether():
    """An endpoint has the pod's address, node, reference and conditions, and the port that the name leads to."""
    (one,) = slices.wanted(_service(), [_pod()])
    assert one.ports == ({"name": "", "port": 8080, "protocol": "TCP"},)
    assert one.endpoints == (
        {
            "addresses": ["10.244.0.2"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": "u-a"},
            "nodeName": "varka",
        },
    )


def test_terminating_pods_serve_but_are_not_ready():
    """A ready pod that is being deleted is serving and terminating, not ready."""
    (one,) = slices.wanted(_service(), [_pod(deletionTimestamp="2026-01-01T00:00:00Z")])
    assert one.endpoints[0]["conditions"] == {"ready": False, "serving": True, "terminating": True}


def test_unready_addresses_can_be_published():
    """With publishNotReadyAddresses every endpoint counts as ready."""
    (one,) = slices.wanted(_service(publishNotReadyAddresses=True), [_pod(ready=False)])
    assert one.endpoints[0]["conditions"] == {"ready": True, "serving": False, "terminating": False}


def test_named_ports_may_differ_between_pods():
    """Pods in which a port's name means different numbers are in different slices."""
    numbers = [one.ports[0]["port"] for one in slices.wanted(_service(), [_pod("a"), _pod("b", "10.244.0.3", number=9090)])]
    assert numbers == [8080, 9090]


def test_what_cannot_serve_is_left_out():
    """Pods without an address, ended pods and other pods are no endpoints; without any there is one empty slice."""
    others = [_pod("a", ip=""), {**_pod("b"), "status": {"phase": "Succeeded", "podIP": "10.244.0.4"}}, _pod("c", labels={"app": "x"})]
    assert slices.wanted(_service(), others) == [slices.Slice(family="IPv4", ports=(), endpoints=())]


def test_stateful_pods_have_host_names():
    """A pod whose subdomain is the service has its host name in the endpoint."""
    pod = _pod()
    pod["spec"] |= {"hostname": "web-0", "subdomain": "web"}
    assert slices.wanted(_service(), [pod])[0].endpoints[0]["hostname"] == "web-0"


def test_large_services_are_cut():
    """A slice has no more endpoints than the API allows."""
    pods = [_pod(f"p{number:04}", f"10.244.{number // 250}.{number % 250 + 1}") for number in range(1500)]
    assert [len(one.endpoints) for one in slices.wanted(_service(), pods)] == [1000, 500]


def test_legacy_endpoints_have_ready_and_unready_apart():
    """The Endpoints object lists ready and not ready addresses by IP, and leaves terminating pods out."""
    pods = [_pod("a", "10.244.0.10"), _pod("b", "10.244.0.9"), _pod("c", "10.244.0.3", ready=False), _pod("d", deletionTimestamp="x")]
    (subset,) = slices.subsets(_service(), pods)
    assert [one["ip"] for one in subset["addresses"]] == ["10.244.0.9", "10.244.0.10"]
    assert [one["ip"] for one in subset["notReadyAddresses"]] == ["10.244.0.3"]
    assert subset["ports"] == [{"port": 8080, "protocol": "TCP"}]
