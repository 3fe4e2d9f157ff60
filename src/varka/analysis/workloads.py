"""Deployments and pods: services that disagree about a port, and the proxy's own user id."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import messages
from varka.analysis.context import INJECT, PROXY, Context, Read
from varka.analysis.messages import Message
from varka.model.discovery import protocols
from varka.model.routing import visibility
from varka.resources import kubernetes

_PROXY_USER = 1337


def services(context: Context) -> Iterable[Message]:
    """Check that all services of a Deployment mean the same by a port."""
    for deployment in context.all("Deployment"):
        labels = deployment.spec.spec.template.metadata.get("labels") or {}
        if not _in_mesh(context, deployment):
            continue
        chosen = [
            service
            for service in context.all("Service")
            if service.meta.namespace == deployment.meta.namespace
            and service.spec.spec.selector
            and visibility.selected(service.spec.spec.selector, labels.items())
        ]
        yield from _protocols(deployment, chosen)
        yield from _targets(deployment, chosen)


def _in_mesh(context: Context, deployment: Read) -> bool:
    """Whether the pods get a proxy: as they say themselves, else as their namespace says."""
    metadata = deployment.spec.spec.template.metadata
    given = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}.get(INJECT)
    return str(given).lower() == "true" if given is not None else context.injected(deployment.meta.namespace)


def _protocols(deployment: Read, chosen: list[Read]) -> Iterable[Message]:
    found: dict[int, dict[str, set[str]]] = {}
    for service in chosen:
        for port in service.spec.spec.ports:
            protocol = protocols.of_port(port.port, port.name, port.protocol, port.app_protocol)
            found.setdefault(port.port, {}).setdefault(protocol, set()).add(service.meta.name)
    for number, kinds in sorted(found.items()):
        if len(kinds) > 1:
            names = sorted(name for group in kinds.values() for name in group)
            yield messages.MULTIPLE_SERVICES.about(deployment, deployment.meta.name, number, messages.listed(names))


def _targets(deployment: Read, chosen: list[Read]) -> Iterable[Message]:
    found: dict[str, dict[int, set[str]]] = {}
    for service in chosen:
        for port in service.spec.spec.ports:
            found.setdefault(str(port.target_port or port.port), {}).setdefault(port.port, set()).add(service.meta.name)
    for target, numbers in sorted(found.items()):
        names = sorted({name for group in numbers.values() for name in group})
        if len(numbers) > 1 and len(names) > 1:
            text = messages.listed(sorted(numbers))
            yield messages.CONFLICTING_PORTS.about(deployment, deployment.meta.name, messages.listed(names), target, text)


def user_ids(context: Context) -> Iterable[Message]:
    """Check that no application runs as the proxy's user, whose traffic is not redirected."""
    for pod in context.all("Pod"):
        if _reserved(pod.spec.spec):
            yield messages.INVALID_USER_ID.about(pod)
    for deployment in context.all("Deployment"):
        if _reserved(deployment.spec.spec.template.spec):
            yield messages.INVALID_USER_ID.about(deployment)


def _reserved(spec: kubernetes.PodSpec) -> bool:
    general = spec.security_context is not None and spec.security_context.run_as_user == _PROXY_USER
    containers = (item for item in (*spec.containers, *spec.init_containers) if item.name not in {PROXY, "istio-init"})
    return general or any(item.security_context is not None and item.security_context.run_as_user == _PROXY_USER for item in containers)
