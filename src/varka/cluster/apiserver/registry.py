"""Which resources the server serves: one `ResourceInfo` for each, whether built in, from a CRD or virtual.

There is no handler per kind: what differs between kinds is here, in the schemas, and in a few rules of `kinds/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from varka.cluster.apiserver.schema.structural import CrdSchema

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceInfo:
    """One resource in one version.

    `storage_version` is the version that objects are kept in; `schema_ref` is the OpenAPI definition's name of a builtin
    kind; `crd` is the compiled schema of a custom one; `printer_columns` are a CRD's additionalPrinterColumns. `stored_as` names
    the resource whose objects these are in another form (events.k8s.io shows the core group's events).
    """

    group: str
    version: str
    resource: str
    kind: str
    singular: str = ""
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()
    storage_version: str = ""
    schema_ref: str = ""
    crd: CrdSchema | None = None
    printer_columns: tuple[dict[str, Any], ...] = ()
    list_kind: str = ""
    stored_as: str = ""

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """The resource's name in the store: the same for all of its versions."""
        return self.stored_as or self.qualified

    @property
    def qualified(self) -> str:
        """`deployments.apps`, as error messages name it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def qualified_kind(self) -> str:
        """`Deployment.apps`, as validation messages name it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


class Registry:
    """All resources by group, version and plural name; custom ones come and go."""

    def __init__(self, infos: Iterable[ResourceInfo]) -> None:
        self._infos: dict[tuple[str, str, str], ResourceInfo] = {}
        self.generation = 0
        for info in infos:
            self.add(info)

    def add(self, info: ResourceInfo) -> None:
        """Serve a resource, in place of what was served under its name."""
        self._infos[info.group, info.version, info.resource] = info
        self.generation += 1

    def remove(self, group: str, resource: str) -> None:
        """Stop serving a resource in all versions."""
        for key in [key for key in self._infos if key[0] == group and key[2] == resource]:
            del self._infos[key]
        self.generation += 1

    def find(self, group: str, version: str, resource: str) -> ResourceInfo | None:
        """The resource, or None when it is not served."""
        return self._infos.get((group, version, resource))

    def of_kind(self, group: str, version: str, kind: str) -> ResourceInfo | None:
        """The resource whose objects have that kind."""
        for info in self._infos.values():
            if info.kind == kind and info.group == group and info.version == version:
                return info
        return None

    def __iter__(self) -> Iterator[ResourceInfo]:
        return iter(list(self._infos.values()))

    def in_group(self, group: str) -> list[ResourceInfo]:
        """All resources of a group in all versions."""
        return [info for info in self._infos.values() if info.group == group]

    def versions(self, group: str) -> list[str]:
        """The group's versions, the preferred one first."""
        return sorted({info.version for info in self._infos.values() if info.group == group}, key=version_priority)

    def groups(self) -> list[str]:
        """All groups but the core one: builtin ones in the order of Kubernetes' discovery, then the others by name, those of k8s.io last.

        The order decides which kind a short name means that two groups have: `gateway` is Istio's, the Gateway API's is
        `gateway.gateway.networking.k8s.io` or `gtw`.
        """
        seen = dict.fromkeys(info.group for info in self._infos.values() if info.group and info.crd is None)
        custom = sorted(
            {info.group for info in self._infos.values() if info.group not in seen and info.group}, key=lambda name: (name.endswith(".k8s.io"), name)
        )
        return [*seen, *custom]


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Sort key by Kubernetes' order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, then others by name."""
    stage_order = {"": 0, "beta": 1, "alpha": 2}
    body = version[1:]
    for stage in ("alpha", "beta", ""):
        major, found, minor = body.partition(stage) if stage else (body, "", "")
        if version.startswith("v") and major.isdigit() and (not stage or (found and minor.isdigit())):
            return (stage_order[stage], -int(major), -int(minor or 0), "")
    return (3, 0, 0, version)
