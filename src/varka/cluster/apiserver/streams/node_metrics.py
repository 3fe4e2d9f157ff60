"""`nodes/proxy`: what a kubelet serves to Prometheus through the API server, `/metrics` and `/metrics/cadvisor`.

Use of processor, memory and disk comes from the pod runtime. The state of objects (`kube_*`), which a cluster elsewhere has
from a program of its own, is part of `/metrics`, so that the basics are there without one.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from varka.base import clock as clocks
from varka.client.api import ApiError, Gvr, Object
from varka.cluster.apiserver import errors, quantity
from varka.cluster.apiserver.exposition import CONTENT_TYPE, Exposition
from varka.cluster.apiserver.podruntime import PodRuntime
from varka.cluster.apiserver.request import Attributes, ServerContext

PODS, NODES, DEPLOYMENTS = Gvr("", "v1", "pods"), Gvr("", "v1", "nodes"), Gvr("apps", "v1", "deployments")
SERVICES, NAMESPACES = Gvr("", "v1", "services"), Gvr("", "v1", "namespaces")
PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")


async def serve(context: ServerContext, request: web.Request, attributes: Attributes, node: Object) -> web.StreamResponse:
    """Answer GET on `nodes/proxy`."""
    path = request.path.partition("/proxy")[2].rstrip("/")
    if request.method not in ("GET", "HEAD"):
        raise errors.method_not_allowed()
    if path in ("/healthz", ""):
        return web.Response(text="ok")
    if context.runtime is None:
        raise ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")
    pods = (await context.api.list(PODS, field_selector=f"spec.nodeName={node['metadata']['name']}")).items
    out = Exposition()
    if path == "/metrics/cadvisor":
        containers(out, context.runtime, pods)
    elif path == "/metrics":
        kubelet(out, context.runtime, node, pods)
        objects(out, [node], pods, (await context.api.list(DEPLOYMENTS)).items)
        for name, gvr in (("service", SERVICES), ("namespace", NAMESPACES)):
            _infos(out, name, (await context.api.list(gvr)).items)
    else:
        raise errors.path_not_found()
    return web.Response(body=out.text().encode(), headers={"Content-Type": CONTENT_TYPE})


def containers(out: Exposition, runtime: PodRuntime, pods: Iterable[Object]) -> None:
    """cAdvisor's series of every running container, and of its pod as a whole (with an empty `container`)."""
    for pod in pods:
        meta, spec = pod["metadata"], pod.get("spec") or {}
        try:
            usages = runtime.usage(meta["namespace"], meta["name"])
        except ApiError:
            continue
        images = {each["name"]: each for each in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))}
        whole = {"container": "", "image": "", "name": "", "namespace": meta["namespace"], "pod": meta["name"]}
        for usage in usages:
            given = images.get(usage.container) or {}
            labels = {**whole, "container": usage.container, "image": given.get("image") or "", "name": f"{meta.get('uid', '')}-{usage.container}"}
            out.add("counter", "container_cpu_usage_seconds_total", usage.cpu_seconds, {**labels, "cpu": "total"})
            out.add("gauge", "container_memory_working_set_bytes", usage.memory_bytes, labels)
            out.add("gauge", "container_memory_usage_bytes", usage.memory_bytes, labels)
            out.add("gauge", "container_memory_rss", usage.memory_bytes, labels)
            out.add("gauge", "container_fs_usage_bytes", usage.disk_bytes, {**labels, "device": "log"})
            out.add("gauge", "container_processes", usage.processes, labels)
            limits = (given.get("resources") or {}).get("limits") or {}
            out.add("gauge", "container_spec_memory_limit_bytes", _amount(limits.get("memory")), labels)
        if usages:
            out.add("counter", "container_cpu_usage_seconds_total", sum(one.cpu_seconds for one in usages), {**whole, "cpu": "total"})
            out.add("gauge", "container_memory_working_set_bytes", sum(one.memory_bytes for one in usages), whole)


def kubelet(out: Exposition, runtime: PodRuntime, node: Object, pods: list[Object]) -> None:
    """How many pods and containers run, and what the machine has and uses."""
    used, capacity = runtime.node_usage(), (node.get("status") or {}).get("capacity") or {}
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
    out.add("gauge", "kubelet_running_pods", len(running))
    ready = [each for pod in running for each in pod["status"].get("containerStatuses") or () if "running" in (each.get("state") or {})]
    out.add("gauge", "kubelet_running_containers", len(ready), {"container_state": "running"})
    out.add("gauge", "machine_cpu_cores", _amount(capacity.get("cpu")))
    out.add("gauge", "machine_memory_bytes", _amount(capacity.get("memory")))
    out.add("counter", "node_cpu_usage_seconds_total", used.cpu_seconds)
    out.add("gauge", "node_memory_working_set_bytes", used.memory_bytes)


def objects(out: Exposition, nodes: Iterable[Object], pods: Iterable[Object], deployments: Iterable[Object]) -> None:
    """The state of nodes, pods and Deployments, under the names of kube-state-metrics."""
    for node in nodes:
        name, status = node["metadata"]["name"], node.get("status") or {}
        info = status.get("nodeInfo") or {}
        out.add(
            "gauge", "kube_node_info", 1, {"node": name, "kernel_version": info.get("kernelVersion", ""), "kubelet_version": info.get("kubeletVersion", "")}
        )
        for condition in status.get("conditions") or ():
            for state in ("true", "false", "unknown"):
                labels = {"node": name, "condition": condition["type"], "status": state}
                out.add("gauge", "kube_node_status_condition", condition["status"].lower() == state, labels)
        for resource, amount in sorted((status.get("capacity") or {}).items()):
            out.add("gauge", "kube_node_status_capacity", _amount(amount), {"node": name, "resource": resource})
    for pod in pods:
        _pod(out, pod)
    for deployment in deployments:
        _deployment(out, deployment)


def _pod(out: Exposition, pod: Object) -> None:
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    who = {"namespace": meta["namespace"], "pod": meta["name"]}
    owner: Object = next((one for one in meta.get("ownerReferences") or () if one.get("controller")), {})
    out.add(
        "gauge",
        "kube_pod_info",
        1,
        {
            **who,
            "uid": meta.get("uid", ""),
            "node": spec.get("nodeName", ""),
            "pod_ip": status.get("podIP", ""),
            "host_ip": status.get("hostIP", ""),
            "created_by_kind": owner.get("kind", ""),
            "created_by_name": owner.get("name", ""),
        },
    )
    for phase in PHASES:
        out.add("gauge", "kube_pod_status_phase", status.get("phase") == phase, {**who, "phase": phase})
    ready = next((one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"), "Unknown")
    for state in ("true", "false", "unknown"):
        out.add("gauge", "kube_pod_status_ready", ready.lower() == state, {**who, "condition": state})
    for each in status.get("containerStatuses") or ():
        container = {**who, "container": each["name"]}
        out.add("gauge", "kube_pod_container_info", 1, {**container, "image": each.get("image", "")})
        out.add("counter", "kube_pod_container_status_restarts_total", each.get("restartCount", 0), container)
        out.add("gauge", "kube_pod_container_status_ready", bool(each.get("ready")), container)
        out.add("gauge", "kube_pod_container_status_running", "running" in (each.get("state") or {}), container)
        waiting = (each.get("state") or {}).get("waiting")
        if waiting:
            out.add("gauge", "kube_pod_container_status_waiting_reason", 1, {**container, "reason": waiting.get("reason", "")})


def _deployment(out: Exposition, deployment: Object) -> None:
    meta, spec, status = deployment["metadata"], deployment.get("spec") or {}, deployment.get("status") or {}
    who = {"namespace": meta["namespace"], "deployment": meta["name"]}
    out.add("gauge", "kube_deployment_created", clocks.parse_rfc3339(meta["creationTimestamp"]).timestamp(), who)
    out.add("gauge", "kube_deployment_spec_replicas", spec.get("replicas", 1), who)
    out.add("gauge", "kube_deployment_metadata_generation", meta.get("generation", 0), who)
    for name, key in (("", "replicas"), ("_available", "availableReplicas"), ("_unavailable", "unavailableReplicas"), ("_updated", "updatedReplicas")):
        out.add("gauge", f"kube_deployment_status_replicas{name}", status.get(key, 0), who)
    out.add("gauge", "kube_deployment_status_replicas_ready", status.get("readyReplicas", 0), who)
    out.add("gauge", "kube_deployment_status_observed_generation", status.get("observedGeneration", 0), who)


def _infos(out: Exposition, kind: str, items: Iterable[Object]) -> None:
    for item in items:
        meta = item["metadata"]
        if kind == "service":
            spec = item.get("spec") or {}
            labels = {"namespace": meta["namespace"], "service": meta["name"], "cluster_ip": spec.get("clusterIP", "")}
            out.add("gauge", "kube_service_info", 1, labels)
        else:
            phase = (item.get("status") or {}).get("phase", "Active")
            out.add("gauge", "kube_namespace_status_phase", 1, {"namespace": meta["name"], "phase": phase})


def _amount(text: object) -> float:
    return float(quantity.parse(str(text))) if text not in (None, "") else 0.0
