"""Deployments and pods: services that disagree about a port, and the proxy's own user id."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog, messages
from varka.analysis.context import PROXY, Context, Read
from varka.analysis.messages import Message
from varka.model.routing import visibility
from varka.resources import kubernetes

_PROXY_USER = 1337
_MANAGED, _WAYPOINT = "gateway.istio.io/managed", "istio.io-mesh-controller"


def services(context: Context) -> Iterable[Message]:
    """Check that all services of a Deployment mean the same by a port."""
    by_namespace: dict[str, list[Read]] = {}
    for service in context.all("Service"):
        if service.spec.spec.selector:
            by_namespace.setdefault(service.meta.namespace, []).append(service)
    templates = {
        (pod.meta.namespace, pod.meta.name): pod for group in context.workloads.values() for pod, _ in group if pod.spec.__class__ is kubernetes.Template
    }
    for deployment in context.all("Deployment"):
        pod = templates[deployment.meta.namespace, deployment.meta.name]
        if deployment.meta.labels.get(_MANAGED) == _WAYPOINT or not context.in_mesh(pod):
            continue
        near = by_namespace.get(deployment.meta.namespace, ())
        chosen = [service for service in near if visibility.selected(service.spec.spec.selector, pod.meta.labels.items())]
        yield from _protocols(deployment, chosen)
        yield from _targets(deployment, chosen)


def _protocols(deployment: Read, chosen: list[Read]) -> Iterable[Message]:
    found: dict[int, dict[str, list[str]]] = {}
    for service in chosen:
        for port in service.spec.spec.ports:
            found.setdefault(port.port, {}).setdefault(port.protocol, []).append(service.meta.name)
    for number, kinds in sorted(found.items()):
        if len(kinds) > 1:
            names = sorted(name for group in kinds.values() for name in group)
            yield catalog.MULTIPLE_SERVICES.about(deployment, deployment.meta.name, number, messages.listed(names), path="metadata.name")


def _targets(deployment: Read, chosen: list[Read]) -> Iterable[Message]:
    found: dict[str, dict[int, str]] = {}
    for service in chosen:
        for port in service.spec.spec.ports:
            found.setdefault(str(port.target_port or port.port), {})[port.port] = service.meta.name
    for target, numbers in sorted(found.items()):
        if len(numbers) > 1:
            ports, names = messages.listed(sorted(numbers)), messages.listed(sorted(numbers.values()))
            yield catalog.CONFLICTING_PORTS.about(deployment, deployment.meta.name, names, target, ports, path="metadata.name")


def user_ids(context: Context) -> Iterable[Message]:
    """Check that no application runs as the proxy's user, whose traffic is not redirected."""
    for pod in context.all("Pod"):
        if _reserved(pod.spec.spec):
            yield catalog.INVALID_USER_ID.about(pod, path="spec")
    for deployment in context.all("Deployment"):
        if _reserved(deployment.spec.spec.template.spec):
            yield catalog.INVALID_USER_ID.about(deployment, path="spec.template.spec")


def _reserved(spec: kubernetes.PodSpec) -> bool:
    general = spec.security_context is not None and spec.security_context.run_as_user == _PROXY_USER
    containers = (item for item in (*spec.containers, *spec.init_containers) if item.name not in {PROXY, "istio-init"})
    return general or any(item.security_context is not None and item.security_context.run_as_user == _PROXY_USER for item in containers)
