"""Whole manifests onto a cluster: parse, apply in an order that works, wait until they run, take them away again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Api, ApiError, Object, PatchType
from varka.client.resources import Kinds, Resource

log = logging.getLogger(__name__)

Progress = Callable[[Object, str], None]
"""Told of an object and what became of it: `created`, `configured`, `unchanged`, `deleted`, `waiting`, `ready`."""

FIRST = (
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
)
LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def quiet(obj: Object, what: str) -> None:
    """Progress that nobody watches."""


def load(text: str) -> list[Object]:
    """The objects of a YAML or JSON text, Lists unfolded; VarkaError for what is no object."""
    try:
        documents = [document for document in yaml.load_all(text, Loader=_LOADER) if document]
    except yaml.YAMLError as error:
        raise VarkaError(f"the manifest is no YAML: {error}", "mend the file") from error
    objects: list[Object] = []
    for document in documents:
        if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
            raise VarkaError("the manifest has a document without apiVersion and kind", "mend the file")
        objects += document.get("items") or [] if document["kind"].endswith("List") and "items" in document else [document]
    return objects


def ordered(objects: Iterable[Object]) -> list[Object]:
    """Definitions and namespaces first, webhooks last, all else as written."""

    def rank(obj: Object) -> int:
        kind = obj["kind"]
        return FIRST.index(kind) if kind in FIRST else len(FIRST) + (kind in LAST)

    return sorted(objects, key=rank)


def label(obj: Object) -> str:
    """`kind/namespace/name`, as error texts name an object."""
    meta = obj["metadata"]
    return "/".join(part for part in (obj["kind"].lower(), meta.get("namespace"), meta["name"]) if part)


async def apply(api: Api, objects: Iterable[Object], *, manager: str, namespace: str = "default", progress: Progress = quiet) -> list[Object]:
    """Server-side apply, taking over fields of others; gives the objects as the server has them. VarkaError names the object that failed."""
    kinds = Kinds(api)
    applied: list[Object] = []
    waited = False
    for obj in ordered(objects):
        if obj["kind"] != "CustomResourceDefinition" and not waited:
            await established(api, [one for one in applied if one["kind"] == "CustomResourceDefinition"])
            waited = True
        resource = await kinds.find(obj["apiVersion"], obj["kind"])
        space = (obj["metadata"].get("namespace") or namespace) if resource.namespaced else None
        before = await _current(api, resource, obj["metadata"]["name"], space)
        try:
            after = await api.patch(resource.gvr, obj["metadata"]["name"], obj, space, type=PatchType.APPLY, manager=manager, force=True)
        except ApiError as error:
            raise ApiError(error.code, error.reason, f"applying {label(obj)} failed: {error.message}", error.details) from error
        after.setdefault("apiVersion", obj["apiVersion"])
        after.setdefault("kind", obj["kind"])
        applied.append(after)
        progress(after, _change(before, after))
    if not waited:
        await established(api, applied)
    return applied


def _change(before: Object | None, after: Object) -> str:
    if before is None:
        return "created"
    return "unchanged" if before["metadata"].get("resourceVersion") == after["metadata"].get("resourceVersion") else "configured"


async def _current(api: Api, resource: Resource, name: str, namespace: str | None) -> Object | None:
    try:
        return await api.get(resource.gvr, name, namespace)
    except ApiError as error:
        if error.code == 404:
            return None
        raise


async def established(api: Api, definitions: Iterable[Object], timeout: float = 30.0) -> None:
    """Wait until the server serves the kinds that CustomResourceDefinitions define."""
    for definition in definitions:
        await _until(api, resources.Resource(resources.CUSTOM_RESOURCE_DEFINITIONS, "CustomResourceDefinition", False), definition, _established, timeout)


async def wait_ready(api: Api, objects: Iterable[Object], *, timeout: float = 300.0, progress: Progress = quiet) -> None:
    """Wait until the Deployments, StatefulSets and DaemonSets among `objects` have rolled out; VarkaError says which did not."""
    kinds = Kinds(api)
    waiting = [obj for obj in objects if obj["kind"] in ("Deployment", "StatefulSet", "DaemonSet")]
    deadline = asyncio.get_running_loop().time() + timeout
    for obj in waiting:
        resource = await kinds.find(obj["apiVersion"], obj["kind"])
        progress(obj, "waiting")
        await _until(api, resource, obj, ready, max(0.1, deadline - asyncio.get_running_loop().time()))
        progress(obj, "ready")


def ready(obj: Object) -> bool:
    """A workload has rolled out: the status is of this generation and every wanted replica is new and available."""
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False
    if obj["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(status.get("updatedNumberScheduled", 0) >= wanted and status.get("numberAvailable", 0) >= wanted)
    wanted = spec.get("replicas", 1)
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return bool(all(count >= wanted for count in counts) and status.get("replicas", 0) <= max(counts))


def _established(definition: Object) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)


async def _until(api: Api, resource: Resource, obj: Object, holds: Callable[[Object], bool], timeout: float) -> None:
    """Follow one object until `holds` says so."""
    name, space = obj["metadata"]["name"], obj["metadata"].get("namespace")
    try:
        async with asyncio.timeout(timeout):
            while True:
                current = await api.get(resource.gvr, name, space)
                if holds({"kind": resource.kind, **current}):
                    return
                version = current["metadata"]["resourceVersion"]
                try:
                    async for event in api.watch(resource.gvr, space, resource_version=version, field_selector=f"metadata.name={name}"):
                        if event.type == "MODIFIED" and holds({"kind": resource.kind, **event.object}):
                            return
                except ApiError as error:
                    if error.code != 410:
                        raise
    except TimeoutError as error:
        where = f" -n {space}" if space else ""
        raise VarkaError(f"{label(obj)} was not ready within {timeout:.0f} s", f"see `kubectl describe {obj['kind'].lower()} {name}{where}`") from error


async def delete(api: Api, objects: Iterable[Object], *, namespace: str = "default", progress: Progress = quiet) -> None:
    """Delete in the opposite order; what is already gone is no error."""
    kinds = Kinds(api)
    for obj in reversed(ordered(objects)):
        try:
            resource = await kinds.find(obj["apiVersion"], obj["kind"])
        except VarkaError:
            continue
        space = (obj["metadata"].get("namespace") or namespace) if resource.namespaced else None
        try:
            await api.delete(resource.gvr, obj["metadata"]["name"], space)
        except ApiError as error:
            if error.code != 404:
                raise
            continue
        progress(obj, "deleted")
