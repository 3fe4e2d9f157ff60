"""Everything that the mesh is made of, fetched once from the cluster: what `analyze` and `authn` look at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from varka.client.api import ApiError, Object

if TYPE_CHECKING:
    from varka.analysis.context import Surroundings
    from varka.cli.istioctl.session import Session
    from varka.client.api import Gvr
    from varka.model.snapshot import Snapshot
    from varka.model.view import MeshSettings

_REMOVED = ("clusterrbacconfigs", "rbacconfigs", "serviceroles", "servicerolebindings")
"""Kinds of `rbac.istio.io`, of which an old cluster may still have definitions."""


async def objects(opened: Session, told: Callable[[str], None] | None = None) -> list[Object]:
    """All objects that configuration depends on, with apiVersion and kind; kinds that are not installed are passed over.

    With `told`, kinds that may not be read are passed over too, and `told` hears of it.
    """
    from varka.client import resources
    from varka.client.api import Gvr
    from varka.resources import kinds

    core = (resources.NAMESPACES, resources.SERVICES, resources.ENDPOINT_SLICES, resources.PODS, resources.NODES, resources.DEPLOYMENTS, resources.SECRETS)
    hooks = (resources.MUTATING_WEBHOOKS, resources.VALIDATING_WEBHOOKS)
    known = {one.gvr: (one.api_version, one.kind) for one in resources.BUILTIN}
    wanted = [(gvr, *known[gvr], "") for gvr in (*core, *hooks)]
    wanted.append((resources.CONFIGMAPS, *known[resources.CONFIGMAPS], opened.istio_namespace))
    wanted += [(Gvr(kind.group, kind.stored, kind.plural), f"{kind.group}/{kind.stored}", kind.kind, "") for kind in kinds.KINDS]
    async with asyncio.TaskGroup() as tasks:
        lists = [tasks.create_task(_list(opened, gvr, namespace, told)) for gvr, _, _, namespace in wanted]
    return [{**item, "apiVersion": version, "kind": kind} for (_, version, kind, _), found in zip(wanted, lists, strict=True) for item in found.result()]


async def _list(opened: Session, gvr: Gvr, namespace: str, told: Callable[[str], None] | None) -> list[Object]:
    try:
        return (await opened.api.list(gvr, namespace or None)).items
    except ApiError as error:
        if error.code == 404:
            return []
        if error.code == 403 and told is not None:
            told(f"{gvr.resource} may not be read; what depends on them is analyzed as if there were none")
            return []
        raise


async def everything(opened: Session, revision: str, told: Callable[[str], None]) -> tuple[list[Object], Surroundings]:
    """The objects of the cluster, and the configuration of the mesh for a revision."""
    from varka.analysis.context import Surroundings
    from varka.client import resources

    found = await objects(opened, told)
    for plural in _REMOVED:
        definition = await _get(opened, resources.CUSTOM_RESOURCE_DEFINITIONS, f"{plural}.rbac.istio.io")
        if definition is not None:
            found.append({**definition, "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"})
    name = "istio" if revision in {"", "default"} else f"istio-{revision}"
    config = await _get(opened, resources.CONFIGMAPS, name, opened.istio_namespace)
    data = (config or {}).get("data") or {}
    return found, Surroundings(mesh_config=_map(data.get("mesh")), mesh_networks=_map(data.get("meshNetworks")))


async def has_namespace(opened: Session) -> bool:
    """Whether the namespace to work in is there."""
    from varka.client import resources

    return await _get(opened, resources.NAMESPACES, opened.namespace) is not None


async def _get(opened: Session, gvr: Gvr, name: str, namespace: str | None = None) -> Object | None:
    try:
        return await opened.api.get(gvr, name, namespace)
    except ApiError as error:
        if error.code in (403, 404):
            return None
        raise


def _map(text: object) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(str(text or ""))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


async def mesh_settings(opened: Session) -> MeshSettings:
    """The mesh's settings; the defaults when Istio is not installed."""
    from varka.client import resources
    from varka.model import mesh_settings as settings

    try:
        found: Any = await opened.api.get(resources.CONFIGMAPS, "istio", opened.istio_namespace)
    except ApiError as error:
        if error.code != 404:
            raise
        found = None
    return settings.parse(found)[0]


def snapshot(found: Iterable[Object], mesh: MeshSettings) -> Snapshot:
    """What these objects mean together."""
    from varka import resources
    from varka.model import inputs
    from varka.model import snapshot as snapshots

    return snapshots.build(inputs.of([resources.parse(one) for one in found], mesh))
