"""Who owns whom: owner references, label selectors, adoption."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.client.api import ApiError, Gvr, Object
from varka.client.informers import Informer
from varka.cluster.controllers.context import Context

BY_CONTROLLER = "controller"
ORPHANS = "orphans"


def controller_of(obj: Object) -> Object | None:
    """The owner reference with `controller: true`."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Object = reference
            return found
    return None


def reference(owner: Object, api_version: str, kind: str) -> Object:
    """The reference by which a controller's object names its owner."""
    meta = owner["metadata"]
    return {"apiVersion": api_version, "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True, "blockOwnerDeletion": True}


def add_indexes(informer: Informer) -> None:
    """Index a kind by the uid of its controller, and its orphans by namespace."""

    def by_controller(obj: Object) -> Iterable[str]:
        found = controller_of(obj)
        return (found["uid"],) if found else ()

    def orphans(obj: Object) -> Iterable[str]:
        return () if controller_of(obj) else (obj["metadata"].get("namespace") or "",)

    informer.add_index(BY_CONTROLLER, by_controller)
    informer.add_index(ORPHANS, orphans)


def selected(selector: Object | None, labels: Mapping[str, str] | None) -> bool:
    """A LabelSelector (matchLabels, matchExpressions) takes these labels; an empty or absent one takes nothing."""
    labels = labels or {}
    if not selector or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        return False
    if any(labels.get(name) != value for name, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(term, labels) for term in selector.get("matchExpressions") or ())


def _expression(term: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(term["key"]), term.get("values") or ()
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(term["operator"], False)


async def claim(context: Context, gvr: Gvr, owner: Object, owner_kind: str) -> list[Object]:
    """The objects of `gvr` that `owner` controls; orphans that its selector takes are adopted, what it no longer takes is released."""
    informer = context.informer(gvr)
    meta, selector = owner["metadata"], owner["spec"].get("selector")
    owned = []
    for obj in informer.indexed(BY_CONTROLLER, meta["uid"]):
        if selected(selector, obj["metadata"].get("labels")) or "deletionTimestamp" in meta:
            owned.append(obj)
        else:
            rest = [one for one in obj["metadata"]["ownerReferences"] if one["uid"] != meta["uid"]]
            await context.patch(gvr, obj, {"metadata": {"ownerReferences": rest or None, "uid": obj["metadata"]["uid"]}})
    if "deletionTimestamp" in meta:
        return owned
    for obj in informer.indexed(ORPHANS, meta.get("namespace") or ""):
        if "deletionTimestamp" in obj["metadata"] or not selected(selector, obj["metadata"].get("labels")):
            continue
        references = [*(obj["metadata"].get("ownerReferences") or ()), reference(owner, "apps/v1", owner_kind)]
        try:
            owned.append(await context.patch(gvr, obj, {"metadata": {"ownerReferences": references, "uid": obj["metadata"]["uid"]}}))
        except ApiError as error:
            if error.code not in (404, 409, 422):
                raise
    return owned
