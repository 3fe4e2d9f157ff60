from __future__ import annotations

from tests.fakes.cluster import deployment, running

from varka.client.resources import DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS


def _messages(cluster, reason):
    return [event["message"] for event in cluster.api.all(EVENTS) if event["reason"] == reason]


def _condition(obj, kind):
    return next(one for one in obj["status"]["conditions"] if one["type"] == kind)


async def test_becomes_ready_pods():
    """A Deployment becomes one ReplicaSet and that its pods, bound to the node, and the status counts them."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment(replicas=3))
        await cluster.settle()
        (owner,) = cluster.api.all(REPLICA_SETS)
        assert owner["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        assert owner["metadata"]["annotations"]["deployment.kubernetes.io/max-replicas"] == "4"
        digest = owner["metadata"]["labels"]["pod-template-hash"]
        assert owner["metadata"]["name"] == f"web-{digest}"
        pods = cluster.api.all(PODS)
        assert len(pods) == 3
        assert all(pod["spec"]["nodeName"] == "varka" and pod["metadata"]["labels"] == {"app": "web", "pod-template-hash": digest} for pod in pods)
        made = cluster.api.one(DEPLOYMENTS, "web", "default")
        status = made["status"]
        counts = {name: status[name] for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration")}
        assert counts == {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3, "observedGeneration": 1}
        assert _condition(made, "Available")["reason"] == "MinimumReplicasAvailable"
        assert _condition(made, "Progressing")["message"] == f'ReplicaSet "web-{digest}" has successfully progressed.'
        assert _messages(cluster, "ScalingReplicaSet") == [f"Scaled up replica set web-{digest} from 0 to 3"]
        assert sorted(_messages(cluster, "SuccessfulCreate")) == sorted(f"Created pod: {pod['metadata']['name']}" for pod in pods)


async def test_rolls_within_its_bounds():
    """A new template is rolled out without ever exceeding the surge or falling below the least availability."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment(replicas=4, strategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}))
        await cluster.settle()
        cluster.automatic = False
        held = cluster.api.one(DEPLOYMENTS, "web", "default")
        held["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2"
        await cluster.api.update(DEPLOYMENTS, held)
        for _ in range(20):
            await cluster.settle()
            pods = cluster.api.all(PODS)
            live = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
            assert len(live) <= 5
            assert sum(any(one["type"] == "Ready" for one in pod["status"].get("conditions", [])) for pod in live) >= 4
            if not cluster.kubelet():
                break
        assert {pod["spec"]["containers"][0]["image"] for pod in cluster.api.all(PODS)} == {"nginx:2"}
        assert len(cluster.pods()) == 4
        sizes = {owner["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: owner["spec"]["replicas"] for owner in cluster.api.all(REPLICA_SETS)}
        assert sizes == {"1": 0, "2": 4}
        assert cluster.api.one(DEPLOYMENTS, "web", "default")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


async def test_recreate_waits_for_the_old_pods():
    """With Recreate no new pod starts while an old one is there."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment(replicas=2, strategy={"type": "Recreate"}))
        await cluster.settle()
        cluster.automatic = False
        held = cluster.api.one(DEPLOYMENTS, "web", "default")
        held["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2"
        await cluster.api.update(DEPLOYMENTS, held)
        await cluster.settle()
        assert [pod["spec"]["containers"][0]["image"] for pod in cluster.api.all(PODS)] == ["nginx", "nginx"]
        cluster.automatic = True
        await cluster.settle()
        assert [pod["spec"]["containers"][0]["image"] for pod in cluster.api.all(PODS)] == ["nginx:2", "nginx:2"]


async def test_undo_takes_the_old_set_again():
    """Going back to an old template reuses its ReplicaSet under a new revision."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment())
        await cluster.settle()
        first = cluster.api.all(REPLICA_SETS)[0]["metadata"]["name"]
        for image in ("nginx:2", "nginx"):
            held = cluster.api.one(DEPLOYMENTS, "web", "default")
            held["spec"]["template"]["spec"]["containers"][0]["image"] = image
            await cluster.api.update(DEPLOYMENTS, held)
            await cluster.settle()
        assert len(cluster.api.all(REPLICA_SETS)) == 2
        again = cluster.api.one(REPLICA_SETS, first, "default")
        assert again["spec"]["replicas"] == 1
        assert again["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_scales_by_its_replicas():
    """Scaling changes the number of pods, takes away the newest, and says so."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment())
        await cluster.settle()
        for count in (3, 1):
            await cluster.api.patch(DEPLOYMENTS, "web", {"spec": {"replicas": count}}, "default")
            await cluster.settle()
            assert len(cluster.pods()) == count
        name = cluster.api.all(REPLICA_SETS)[0]["metadata"]["name"]
        assert _messages(cluster, "ScalingReplicaSet")[1:] == [f"Scaled up replica set {name} from 1 to 3", f"Scaled down replica set {name} from 3 to 1"]


async def test_times_out():
    """A rollout that makes no progress for its deadline is reported as failed."""
    async with running() as cluster:
        cluster.automatic = False
        await cluster.api.create(DEPLOYMENTS, deployment(progressDeadlineSeconds=60))
        await cluster.settle()
        await cluster.clock.turn(120)
        await cluster.settle()
        held = cluster.api.one(DEPLOYMENTS, "web", "default")
        assert _condition(held, "Progressing")["reason"] == "ProgressDeadlineExceeded"
        assert _condition(held, "Available")["message"] == "Deployment does not have minimum availability."


async def test_keeps_the_history_limit():
    """Of old ReplicaSets as many are kept as the limit says."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment(revisionHistoryLimit=1))
        await cluster.settle()
        for image in ("nginx:2", "nginx:3", "nginx:4"):
            held = cluster.api.one(DEPLOYMENTS, "web", "default")
            held["spec"]["template"]["spec"]["containers"][0]["image"] = image
            await cluster.api.update(DEPLOYMENTS, held)
            await cluster.settle()
        revisions = sorted(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for one in cluster.api.all(REPLICA_SETS))
        assert revisions == ["3", "4"]


async def test_paused_deployments_do_not_roll():
    """A paused Deployment keeps its pods whatever its template becomes."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment())
        await cluster.settle()
        held = cluster.api.one(DEPLOYMENTS, "web", "default")
        held["spec"]["paused"] = True
        held["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2"
        await cluster.api.update(DEPLOYMENTS, held)
        await cluster.settle()
        assert [pod["spec"]["containers"][0]["image"] for pod in cluster.api.all(PODS)] == ["nginx"]
        assert _condition(cluster.api.one(DEPLOYMENTS, "web", "default"), "Progressing")["reason"] == "DeploymentPaused"


async def test_template_may_change_while_nothing_waits():
    """A steady Deployment causes no writes."""
    async with running() as cluster:
        await cluster.api.create(DEPLOYMENTS, deployment(replicas=2))
        await cluster.settle()
        before = [call for call in cluster.api.calls if call[1] != "leases"]
        await cluster.clock.turn(30)
        await cluster.settle()
        assert [call for call in cluster.api.calls if call[1] != "leases"] == before
