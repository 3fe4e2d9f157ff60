"""Everything that the mesh is made of, fetched once from the cluster: what `analyze` and `authn` look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from varka.client.api import ApiError, Object

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session
    from varka.model.snapshot import Snapshot
    from varka.model.view import MeshSettings


async def objects(opened: Session) -> list[Object]:
    """All objects that configuration depends on, with apiVersion and kind; kinds that are not installed are passed over."""
    from varka.client import resources
    from varka.client.api import Gvr
    from varka.resources import kinds

    core = (resources.NAMESPACES, resources.SERVICES, resources.ENDPOINT_SLICES, resources.PODS, resources.NODES, resources.DEPLOYMENTS, resources.SECRETS)
    known = {one.gvr: (one.api_version, one.kind) for one in resources.BUILTIN}
    wanted = [(gvr, *known[gvr]) for gvr in core]
    wanted += [(Gvr(kind.group, kind.stored, kind.plural), f"{kind.group}/{kind.stored}", kind.kind) for kind in kinds.KINDS]
    found: list[Object] = []
    for gvr, api_version, name in wanted:
        try:
            items = (await opened.api.list(gvr)).items
        except ApiError as error:
            if error.code != 404:
                raise
            continue
        found += [{**item, "apiVersion": api_version, "kind": name} for item in items]
    return found


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
