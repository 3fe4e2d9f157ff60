"""`metrics.k8s.io/v1beta1`: what `kubectl top` shows, asked of the pod runtime at the moment of the request."""

from __future__ import annotations

from varka.base import clock as clocks
from varka.client.api import ApiError, Gvr, Object
from varka.cluster.apiserver.podruntime import ContainerUsage, PodRuntime
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.request import Attributes, ReadHandler, ServerContext

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
WINDOW = "10s"
PODS, NODES = Gvr("", "v1", "pods"), Gvr("", "v1", "nodes")

_WINDOW_COLUMN = {"name": "Window", "type": "string", "jsonPath": ".window"}
RESOURCES = (
    ResourceInfo(
        group=GROUP,
        version=VERSION,
        resource="nodes",
        kind="NodeMetrics",
        namespaced=False,
        verbs=("get", "list"),
        printer_columns=(
            {"name": "CPU", "type": "string", "jsonPath": ".usage.cpu"},
            {"name": "Memory", "type": "string", "jsonPath": ".usage.memory"},
            _WINDOW_COLUMN,
        ),
    ),
    ResourceInfo(
        group=GROUP,
        version=VERSION,
        resource="pods",
        kind="PodMetrics",
        verbs=("get", "list"),
        printer_columns=(
            {"name": "CPU", "type": "string", "jsonPath": ".containers[*].usage.cpu"},
            {"name": "Memory", "type": "string", "jsonPath": ".containers[*].usage.memory"},
            _WINDOW_COLUMN,
        ),
    ),
)


class Metrics:
    """The readers of both resources."""

    def __init__(self, clock: clocks.Clock) -> None:
        self._clock = clock

    def handlers(self) -> dict[tuple[str, str], ReadHandler]:
        """For `Extensions.readers`."""
        return {(GROUP, "pods"): self.pods, (GROUP, "nodes"): self.nodes}

    async def nodes(self, context: ServerContext, attributes: Attributes) -> Object:
        """NodeMetrics of one node, or of all that are selected."""
        runtime = _runtime(context)
        if attributes.name:
            node = await _stored(context, NODES, attributes.name, None, "nodes")
            return self._node(node, runtime)
        listed = await context.api.list(NODES, **_selectors(attributes))
        return _list("NodeMetricsList", [self._node(node, runtime) for node in listed.items])

    async def pods(self, context: ServerContext, attributes: Attributes) -> Object:
        """PodMetrics of one pod, or of all running ones that are selected."""
        runtime = _runtime(context)
        if attributes.name:
            pod = await _stored(context, PODS, attributes.name, attributes.namespace, "pods")
            metrics = self._pod(pod, runtime)
            if metrics is None:
                raise _not_found("pods", attributes.name)
            return metrics
        listed = await context.api.list(PODS, attributes.namespace or None, **_selectors(attributes))
        return _list("PodMetricsList", [metrics for pod in listed.items if (metrics := self._pod(pod, runtime)) is not None])

    def _node(self, node: Object, runtime: PodRuntime) -> Object:
        return {**self._head("NodeMetrics", node), "usage": _usage(runtime.node_usage())}

    def _pod(self, pod: Object, runtime: PodRuntime) -> Object | None:
        if (pod.get("status") or {}).get("phase") != "Running":
            return None
        try:
            usages = runtime.usage(pod["metadata"]["namespace"], pod["metadata"]["name"])
        except ApiError:
            return None
        containers = [{"name": usage.container, "usage": _usage(usage)} for usage in sorted(usages, key=lambda usage: usage.container)]
        return {**self._head("PodMetrics", pod), "containers": containers} if containers else None

    def _head(self, kind: str, obj: Object) -> Object:
        now = clocks.rfc3339(self._clock.now())
        metadata = {key: obj["metadata"][key] for key in ("name", "namespace", "labels") if obj["metadata"].get(key)}
        metadata["creationTimestamp"] = now
        return {"kind": kind, "apiVersion": f"{GROUP}/{VERSION}", "metadata": metadata, "timestamp": now, "window": WINDOW}


def _usage(usage: ContainerUsage) -> Object:
    return {"cpu": f"{usage.cpu_nanocores}n", "memory": f"{usage.memory_bytes // 1024}Ki"}


def _list(kind: str, items: list[Object]) -> Object:
    return {"kind": kind, "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}


def _selectors(attributes: Attributes) -> dict[str, str]:
    return {"label_selector": attributes.query.get("labelSelector", ""), "field_selector": attributes.query.get("fieldSelector", "")}


def _runtime(context: ServerContext) -> PodRuntime:
    if context.runtime is None:
        raise ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")
    return context.runtime


async def _stored(context: ServerContext, gvr: Gvr, name: str, namespace: str | None, resource: str) -> Object:
    try:
        return await context.api.get(gvr, name, namespace)
    except ApiError as error:
        raise (_not_found(resource, name) if error.code == 404 else error) from error


def _not_found(resource: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource}.{GROUP} "{name}" not found', {"name": name, "group": GROUP, "kind": resource})
