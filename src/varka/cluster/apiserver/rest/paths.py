"""What a URL path asks for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The parts of a resource path; what the path does not name is empty."""

    group: str
    version: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def object_name(self) -> str:
        """The stored object's name: that of a proxy path may stand between scheme and port (`https:web:8443`)."""
        if self.subresource != "proxy" or ":" not in self.name:
            return self.name
        parts = self.name.split(":")
        return parts[1] if len(parts) == 3 else parts[0]


_NAMESPACE_PARTS = ("status", "finalize")


def parse(path: str) -> Target | None:
    """The target of `/api/v1/…` or `/apis/<group>/<version>/…`; None for paths that name no resource."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and not (len(parts) == 3 and parts[2] in _NAMESPACE_PARTS):
        namespace, parts = parts[1], parts[2:]
    elif parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
    name = parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 else ""
    return Target(group=group, version=version, resource=parts[0], namespace=namespace, name=name, subresource=subresource, rest="/".join(parts[3:]))
