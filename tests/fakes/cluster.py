"""A cluster in memory: all controllers on a fake API, and a stand-in for the kubelet that makes pods ready or ends them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock, settle

from varka.base.clock import rfc3339
from varka.client.api import Object
from varka.client.resources import NAMESPACES, PODS
from varka.cluster import controllers


class FakeCluster:
    """The API, the clock and what a kubelet would do; `automatic` makes every bound pod ready at once and ends deleted ones."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.api = FakeApi(self.clock)
        self.automatic = True
        self._addresses = itertools.count(2)

    async def settle(self) -> None:
        """Let controllers and kubelet run until nothing changes any more."""
        for _ in range(60):
            before = len(self.api.calls)
            await settle()
            if self.automatic:
                self.kubelet()
            await settle()
            if len(self.api.calls) == before and not (self.automatic and self.kubelet()):
                return

    def kubelet(self) -> int:
        """One look at all pods; gives how many were changed."""
        changed = 0
        for pod in self.api.all(PODS):
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            if "deletionTimestamp" in pod["metadata"]:
                self.api.remove(PODS, name, namespace)
                changed += 1
            elif pod["spec"].get("nodeName") and pod["status"].get("phase") == "Pending":
                self.ready(name, namespace)
                changed += 1
        return changed

    def ready(self, name: str, namespace: str = "default", *, ready: bool = True) -> Object:
        """The pod runs, with an address."""
        pod = self.api.one(PODS, name, namespace)
        assert pod is not None
        address = pod["status"].get("podIP") or f"10.244.0.{next(self._addresses)}"
        condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": rfc3339(self.clock.now())}
        conditions = [one for one in pod["status"].get("conditions", []) if one["type"] != "Ready"] + [condition]
        status = {**pod["status"], "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
        return self.api.change(PODS, name, namespace, status=status)

    def end(self, name: str, namespace: str = "default", *, failed: bool = False) -> Object:
        """All containers of the pod have ended."""
        pod = self.api.one(PODS, name, namespace)
        assert pod is not None
        return self.api.change(PODS, name, namespace, status={**pod["status"], "phase": "Failed" if failed else "Succeeded", "conditions": []})

    def pods(self, namespace: str = "default") -> list[str]:
        """Names of the pods that are not being deleted."""
        return sorted(pod["metadata"]["name"] for pod in self.api.all(PODS, namespace) if "deletionTimestamp" not in pod["metadata"])


@asynccontextmanager
async def running(balancer: controllers.Balancer | None = None, **settings: object) -> AsyncIterator[FakeCluster]:
    """A cluster whose controllers run and have settled."""
    cluster = FakeCluster()
    ready = asyncio.Event()
    wanted = controllers.ControllerSettings(root_ca="CA\n", **settings)  # type: ignore[arg-type]
    task = asyncio.create_task(controllers.run(cluster.api, cluster.clock, wanted, balancer=balancer, ready=ready))
    try:
        await asyncio.wait_for(asyncio.wait({asyncio.create_task(ready.wait()), task}, return_when=asyncio.FIRST_COMPLETED), 10)
        if task.done():
            await task
        await cluster.settle()
        assert cluster.api.one(NAMESPACES, "default") is not None
        yield cluster
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def deployment(name: str = "web", replicas: int = 1, image: str = "nginx", **spec: object) -> Object:
    """A Deployment in `default` whose pods carry the label app."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    body = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"}, "spec": body}
