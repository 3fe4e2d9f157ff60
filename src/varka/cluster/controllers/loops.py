"""Puts the controllers together and runs them as one group of tasks."""

from __future__ import annotations

import asyncio

from varka.base.clock import Clock
from varka.client.api import Api
from varka.cluster.controllers import namespaces, systemservices
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.disruption import DisruptionBudgets
from varka.cluster.controllers.endpoints import EndpointSlices
from varka.cluster.controllers.events import Expiry, Recorder
from varka.cluster.controllers.garbage import Garbage
from varka.cluster.controllers.kinds import StoredKinds
from varka.cluster.controllers.loadbalancers import Balancer, LoadBalancers
from varka.cluster.controllers.nodes import Node
from varka.cluster.controllers.queues import Reconciler
from varka.cluster.controllers.scheduler import Scheduler
from varka.cluster.controllers.serviceaccounts import ServiceAccounts
from varka.cluster.controllers.settings import ControllerSettings
from varka.cluster.controllers.workloads.cronjobs import CronJobs
from varka.cluster.controllers.workloads.daemonsets import DaemonSets
from varka.cluster.controllers.workloads.deployments import Deployments
from varka.cluster.controllers.workloads.jobs import Jobs
from varka.cluster.controllers.workloads.replicasets import ReplicaSets
from varka.cluster.controllers.workloads.statefulsets import StatefulSets


async def run(api: Api, clock: Clock, settings: ControllerSettings, *, balancer: Balancer | None = None, ready: asyncio.Event | None = None) -> None:
    """Run every controller until cancelled; without a `balancer` Services of type LoadBalancer stay pending."""
    context = Context(api, clock, settings)
    recorder = Recorder(context)
    kinds = StoredKinds(context)
    node = Node(context, recorder)
    reconcilers = _reconcilers(context, recorder, kinds, balancer)
    await namespaces.create_system(context)
    await node.start()
    await systemservices.create(context)
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run(), name="events")
        group.create_task(Expiry(context).run(), name="event-expiry")
        await kinds.start()
        group.create_task(context.informers.run(), name="informers")
        await context.informers.synced()
        for reconciler in reconcilers:
            group.create_task(reconciler.run(), name=reconciler.name)
        group.create_task(node.run(), name="node")
        if ready is not None:
            ready.set()


def _reconcilers(context: Context, recorder: Recorder, kinds: StoredKinds, balancer: Balancer | None) -> list[Reconciler]:
    found = [
        Scheduler(context, recorder).reconciler,
        ReplicaSets(context, recorder).reconciler,
        Deployments(context, recorder).reconciler,
        StatefulSets(context, recorder).reconciler,
        DaemonSets(context, recorder).reconciler,
        Jobs(context, recorder).reconciler,
        CronJobs(context, recorder).reconciler,
        EndpointSlices(context).reconciler,
        ServiceAccounts(context).reconciler,
        DisruptionBudgets(context).reconciler,
        namespaces.Namespaces(context, kinds).reconciler,
        Garbage(context, kinds).reconciler,
    ]
    if balancer is not None:
        found.append(LoadBalancers(context, recorder, balancer).reconciler)
    return found
