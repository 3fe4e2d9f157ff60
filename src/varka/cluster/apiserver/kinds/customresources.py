"""CRDs: from a CustomResourceDefinition to the resources that it makes the server serve, and its conditions."""

from __future__ import annotations

from collections.abc import Iterator

from varka.client.api import Object
from varka.cluster.apiserver.registry import Registry, ResourceInfo
from varka.cluster.apiserver.schema.structural import CrdSchema

CRDS = "customresourcedefinitions.apiextensions.k8s.io"


def resources(crd: Object) -> Iterator[ResourceInfo]:
    """One resource for each served version."""
    spec = crd["spec"]
    names = spec["names"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        subresources = tuple(name for name in ("scale", "status") if name in (version.get("subresources") or {}))
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        yield ResourceInfo(
            group=spec["group"],
            version=version["name"],
            resource=names["plural"],
            kind=names["kind"],
            singular=names.get("singular") or names["kind"].lower(),
            namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=subresources,
            storage_version=storage,
            crd=CrdSchema(
                schema,
                preserve=bool(spec.get("preserveUnknownFields")),
                scale=(version.get("subresources") or {}).get("scale"),
                selectable=tuple(item["jsonPath"].lstrip(".") for item in version.get("selectableFields") or ()),
            ),
            printer_columns=tuple(version.get("additionalPrinterColumns") or ()),
            list_kind=names.get("listKind") or f"{names['kind']}List",
        )


def register(registry: Registry, crd: Object) -> None:
    """Serve what a CRD defines, in place of what an earlier form of it defined."""
    spec = crd["spec"]
    registry.remove(spec["group"], spec["names"]["plural"])
    for info in resources(crd):
        registry.add(info)


def accept(crd: Object, moment: str) -> None:
    """Put into a CRD's status that it is served, in place."""
    spec = crd["spec"]
    status = crd.setdefault("status", {})
    if not any(item.get("type") == "Established" for item in status.get("conditions") or ()):
        status["conditions"] = [
            {"lastTransitionTime": moment, "message": "no conflicts found", "reason": "NoConflicts", "status": "True", "type": "NamesAccepted"},
            {
                "lastTransitionTime": moment,
                "message": "the initial names have been accepted",
                "reason": "InitialNamesAccepted",
                "status": "True",
                "type": "Established",
            },
        ]
    status["acceptedNames"] = dict(spec.get("names") or {})
    stored = status.setdefault("storedVersions", [])
    status["storedVersions"] = [*stored, *(item["name"] for item in spec.get("versions") or () if item.get("storage") and item["name"] not in stored)]
