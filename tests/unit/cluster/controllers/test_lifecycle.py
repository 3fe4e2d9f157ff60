from __future__ import annotations

import pytest
from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock, settle
from tests.fakes.cluster import deployment, running

from varka.base.errors import VarkaError
from varka.client.api import Gvr
from varka.client.resources import (
    CONFIGMAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from varka.cluster.controllers import Allocation, Balancer, ControllerSettings, podstate
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Expiry, Recorder

GATEWAYS = Gvr("networking.istio.io", "v1", "gateways")
DEFINITION = {
    "metadata": {"name": "gateways.networking.istio.io"},
    "spec": {
        "group": "networking.istio.io",
        "names": {"plural": "gateways", "kind": "Gateway"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True}],
    },
    "status": {"conditions": [{"type": "Established", "status": "True"}]},
}


async def test_every_namespace_gets_its_account_and_ca():
    """A namespace has the service account `default` and the CA's ConfigMap, and gets them back."""
    async with running() as cluster:
        await cluster.api.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await cluster.settle()
        names = {space["metadata"]["name"] for space in cluster.api.all(NAMESPACES)}
        assert names == {"default", "kube-system", "kube-public", "kube-node-lease", "shop"}
        assert cluster.api.one(CONFIGMAPS, "kube-root-ca.crt", "shop")["data"] == {"ca.crt": "CA\n"}
        await cluster.api.delete(SERVICE_ACCOUNTS, "default", "shop")
        await cluster.api.delete(CONFIGMAPS, "kube-root-ca.crt", "shop")
        await cluster.settle()
        assert cluster.api.one(SERVICE_ACCOUNTS, "default", "shop") and cluster.api.one(CONFIGMAPS, "kube-root-ca.crt", "shop")


async def test_a_deleted_namespace_takes_everything_with_it():
    """Deleting a namespace removes workloads, pods, configuration and custom resources, and then the namespace."""
    async with running() as cluster:
        await cluster.api.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
        await cluster.api.create(NAMESPACES, {"metadata": {"name": "shop"}})
        body = deployment(replicas=2)
        body["metadata"]["namespace"] = "shop"
        await cluster.api.create(DEPLOYMENTS, body)
        await cluster.api.create(GATEWAYS, {"metadata": {"name": "g", "namespace": "shop"}})
        await cluster.settle()
        assert len(cluster.pods("shop")) == 2
        await cluster.api.delete(NAMESPACES, "shop")
        await cluster.settle()
        assert cluster.api.one(NAMESPACES, "shop") is None
        for kind in (DEPLOYMENTS, REPLICA_SETS, PODS, GATEWAYS, CONFIGMAPS, SERVICE_ACCOUNTS, EVENTS):
            assert cluster.api.all(kind, "shop") == []


async def test_a_namespace_waits_for_finalizers_and_says_so():
    """Content with a finalizer holds the namespace, whose status names it."""
    async with running() as cluster:
        await cluster.api.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await cluster.api.create(CONFIGMAPS, {"metadata": {"name": "held", "namespace": "shop", "finalizers": ["me/hold"]}})
        await cluster.api.delete(NAMESPACES, "shop")
        await cluster.settle()
        messages = [one["message"] for one in cluster.api.one(NAMESPACES, "shop")["status"]["conditions"]]
        assert "Some resources are remaining: configmaps has 1 resource instances" in messages
        assert "Some content in the namespace has finalizers remaining: me/hold in 1 resource instances" in messages
        await cluster.api.patch(CONFIGMAPS, "held", {"metadata": {"finalizers": None}}, "shop")
        await cluster.settle()
        assert cluster.api.one(NAMESPACES, "shop") is None


@pytest.mark.parametrize(("policy", "left"), [("Background", 0), ("Foreground", 0), ("Orphan", 2)])
async def test_dependents_go_or_stay_as_asked(policy, left):
    """Deleting a Deployment deletes its ReplicaSet and pods, or leaves them as orphans."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment(replicas=2))
        await cluster.settle()
        await cluster.api.delete(DEPLOYMENTS, "web", "default", propagation=policy)
        await cluster.settle()
        assert cluster.api.all(DEPLOYMENTS) == []
        assert len(cluster.pods()) == left
        assert [one["metadata"].get("ownerReferences") for one in cluster.api.all(REPLICA_SETS)] == [None] * (left // 2)


async def test_foreground_deletion_waits_for_pods():
    """An owner deleted in the foreground is there until its pods are gone."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment())
        await cluster.settle()
        cluster.automatic = False
        await cluster.api.delete(DEPLOYMENTS, "web", "default", propagation="Foreground")
        await cluster.settle()
        assert cluster.api.one(DEPLOYMENTS, "web", "default")["metadata"]["deletionTimestamp"]
        assert cluster.pods() == []
        cluster.automatic = True
        await cluster.settle()
        assert cluster.api.all(DEPLOYMENTS) == [] and cluster.api.all(REPLICA_SETS) == []


async def test_objects_of_a_lost_owner_are_collected():
    """An object whose owner does not exist, or is another of the same name, goes; one with a living owner besides loses the reference."""
    async with running() as cluster:
        alive = await cluster.api.create(CONFIGMAPS, {"metadata": {"name": "alive", "namespace": "default"}})
        lost = {"apiVersion": "v1", "kind": "ConfigMap", "name": "alive", "uid": "another"}
        held = {**lost, "uid": alive["metadata"]["uid"]}
        await cluster.api.create(CONFIGMAPS, {"metadata": {"name": "one", "namespace": "default", "ownerReferences": [lost]}})
        await cluster.api.create(CONFIGMAPS, {"metadata": {"name": "two", "namespace": "default", "ownerReferences": [lost, held]}})
        await cluster.settle()
        assert cluster.api.one(CONFIGMAPS, "one", "default") is None
        assert cluster.api.one(CONFIGMAPS, "two", "default")["metadata"]["ownerReferences"] == [held]


async def test_pods_of_a_selector_are_adopted_and_released():
    """A ReplicaSet takes in a pod without an owner that its selector takes, and lets go of one that it no longer takes."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment(replicas=2))
        await cluster.settle()
        name = cluster.pods()[0]
        await cluster.api.patch(PODS, name, {"metadata": {"labels": {"app": "other"}}}, "default")
        await cluster.settle()
        assert "ownerReferences" not in cluster.api.one(PODS, name, "default")["metadata"]
        assert len(cluster.pods()) == 3
        await cluster.api.patch(PODS, name, {"metadata": {"labels": {"app": "web"}}}, "default")
        await cluster.settle()
        assert len(cluster.pods()) == 2


async def test_pods_that_the_node_cannot_take_wait_and_say_why():
    """A node selector that fits no node leaves the pod pending, and a label on the node lets it go on."""
    async with running() as cluster:
        pod = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"containers": [{"name": "c"}], "nodeSelector": {"disk": "ssd"}}}
        await cluster.api.create(PODS, {"apiVersion": "v1", "kind": "Pod", **pod})
        await cluster.settle()
        (condition,) = cluster.api.one(PODS, "a", "default")["status"]["conditions"]
        message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. " + (
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )
        assert (condition["type"], condition["status"], condition["reason"], condition["message"]) == ("PodScheduled", "False", "Unschedulable", message)
        assert [event["message"] for event in cluster.api.all(EVENTS) if event["reason"] == "FailedScheduling"] == [message]
        await cluster.api.patch(NODES, "varka", {"metadata": {"labels": {"disk": "ssd"}}})
        await cluster.settle()
        assert cluster.api.one(PODS, "a", "default")["spec"]["nodeName"] == "varka"
        assert "Successfully assigned default/a to varka" in [event["message"] for event in cluster.api.all(EVENTS)]


async def test_the_node_is_ready_and_renews_its_lease():
    """The Node shows the machine, is Ready, and its lease is renewed."""
    async with running(node_name="one", node_address="10.244.0.1") as cluster:
        node = cluster.api.one(NODES, "one")
        assert node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] == ""
        assert node["status"]["addresses"] == [{"type": "InternalIP", "address": "10.244.0.1"}, {"type": "Hostname", "address": "one"}]
        assert {one["type"]: one["status"] for one in node["status"]["conditions"]}["Ready"] == "True"
        assert node["status"]["nodeInfo"]["containerRuntimeVersion"] == "varka://0.1.0"
        first = cluster.api.one(LEASES, "one", "kube-node-lease")["spec"]["renewTime"]
        await cluster.clock.turn(11)
        assert cluster.api.one(LEASES, "one", "kube-node-lease")["spec"]["renewTime"] > first


async def test_a_load_balancer_gets_and_returns_its_address():
    """A LoadBalancer's status shows the provided address, and the provider hears when it is no longer needed."""
    released = []

    async def allocate(service):
        return Allocation(ip="127.0.0.5")

    async def release(key):
        released.append(key.name)

    async with running(Balancer(allocate=allocate, release=release)) as cluster:
        await cluster.api.create(
            SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "in", "namespace": "default"}, "spec": {"type": "LoadBalancer"}}
        )
        await cluster.settle()
        assert cluster.api.one(SERVICES, "in", "default")["status"]["loadBalancer"] == {"ingress": [{"ip": "127.0.0.5", "ipMode": "VIP"}]}
        await cluster.api.patch(SERVICES, "in", {"spec": {"type": "ClusterIP"}}, "default")
        await cluster.settle()
        assert cluster.api.one(SERVICES, "in", "default")["status"]["loadBalancer"] == {}
        assert released == ["in"]


async def test_a_load_balancer_waits_for_an_address():
    """While there is no address the service stays pending; later it gets one, and ports that it cannot have are named."""
    answers = [VarkaError("no address is free"), Allocation(ip="127.0.0.6", ports=((80, 8080), (443, 443)))]

    async def allocate(service):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, VarkaError):
            raise answer
        return answer

    async def release(key):
        pass

    async with running(Balancer(allocate=allocate, release=release)) as cluster:
        await cluster.api.create(
            SERVICES,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "in", "namespace": "default"},
                "spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 443}]},
            },
        )
        await cluster.settle()
        await cluster.clock.turn(1)
        moved = {"port": 80, "protocol": "TCP", "error": "varka.dev/PortUnavailable"}
        assert cluster.api.one(SERVICES, "in", "default")["status"]["loadBalancer"]["ingress"] == [
            {"ip": "127.0.0.6", "ipMode": "VIP", "ports": [moved, {"port": 443, "protocol": "TCP"}]}
        ]


async def test_budgets_count_what_may_be_evicted():
    """A PodDisruptionBudget's status follows its pods."""
    async with running() as cluster:
        spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
        await cluster.api.create(DISRUPTION_BUDGETS, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
        await cluster.api.create(DEPLOYMENTS, deployment(replicas=3))
        await cluster.settle()
        status = cluster.api.one(DISRUPTION_BUDGETS, "web", "default")["status"]
        counts = (status["currentHealthy"], status["desiredHealthy"], status["disruptionsAllowed"], status["expectedPods"])
        assert counts == (3, 2, 1, 3)


async def test_repeated_events_count_up_and_old_ones_go():
    """The same event again raises the count of the first; after an hour without news it is removed."""
    import asyncio

    clock = TurnedClock()
    api = FakeApi(clock)
    context = Context(api, clock, ControllerSettings())
    recorder = Recorder(context)
    task = asyncio.create_task(recorder.run())
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default", "uid": "u"}}
    for _ in range(3):
        recorder.record("kubelet", pod, "Warning", "BackOff", "Back-off restarting failed container")
        await settle()
        await clock.turn(10)
    (event,) = api.all(EVENTS)
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (3, "2026-01-01T00:00:00Z", "2026-01-01T00:00:20Z")
    assert event["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": "default", "uid": "u"}
    await Expiry(context).sweep()
    assert len(api.all(EVENTS)) == 1
    await clock.turn(3600)
    await Expiry(context).sweep()
    assert api.all(EVENTS) == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_unready_and_new_pods_are_deleted_first():
    """Of the pods to choose from, unassigned ones go first, then pending, unready, and the youngest."""

    def pod(name, node="n", phase="Running", ready="True", created="2026-01-01T00:00:00Z"):
        conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": created}]
        meta = {"name": name, "creationTimestamp": created}
        return {"metadata": meta, "spec": {"nodeName": node}, "status": {"phase": phase, "conditions": conditions}}

    pods = [
        pod("old"),
        pod("new", created="2026-01-02T00:00:00Z"),
        pod("unready", ready="False"),
        pod("pending", phase="Pending", ready="False"),
        pod("homeless", node=""),
    ]
    assert [one["metadata"]["name"] for one in sorted(pods, key=podstate.deletion_rank)] == ["homeless", "pending", "unready", "new", "old"]


async def test_kinds_come_and_go():
    """Objects of a defined kind are collected with their owner, and a kind that is gone leaves nothing behind that would count as an owner."""
    async with running() as cluster:
        await cluster.api.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
        await cluster.settle()
        owner = await cluster.api.create(GATEWAYS, {"metadata": {"name": "g", "namespace": "default"}})
        reference = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "name": "g", "uid": owner["metadata"]["uid"]}
        await cluster.api.create(CONFIGMAPS, {"metadata": {"name": "of-g", "namespace": "default", "ownerReferences": [reference]}})
        await cluster.settle()
        assert cluster.api.one(CONFIGMAPS, "of-g", "default")
        await cluster.api.delete(GATEWAYS, "g", "default")
        await cluster.settle()
        assert cluster.api.one(CONFIGMAPS, "of-g", "default") is None
        await cluster.api.delete(CUSTOM_RESOURCE_DEFINITIONS, "gateways.networking.istio.io")
        await cluster.settle()
        await cluster.api.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
        await cluster.api.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await cluster.api.create(GATEWAYS, {"metadata": {"name": "g", "namespace": "shop"}})
        await cluster.api.delete(NAMESPACES, "shop")
        await cluster.settle()
        assert cluster.api.all(GATEWAYS) == []
