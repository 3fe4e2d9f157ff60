"""The one way to a Kubernetes API: the interface that every caller is written against.

`http.HttpApi` speaks to a server over HTTPS; the embedded cluster's `apiserver.local.LocalApi` answers the same calls
in its own process. Objects are the plain JSON of the Kubernetes API.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from varka.base.errors import VarkaError

Object = dict[str, Any]
"""A Kubernetes object as its JSON."""


class Gvr(NamedTuple):
    """Group, version and plural resource name; the core group is the empty string."""

    group: str
    version: str
    resource: str

    @property
    def prefix(self) -> str:
        """`/api/v1` or `/apis/<group>/<version>`."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


class PatchType(StrEnum):
    """The four patch formats, as their content types."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class ObjectList(NamedTuple):
    """A consistent list and the resourceVersion to watch from."""

    items: list[Object]
    resource_version: str


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


class ApiError(VarkaError):
    """A `Status` of kind Failure: HTTP code, machine-readable reason, message and details, as the server gave them."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or {}

    @property
    def status(self) -> Object:
        """The error as a Kubernetes Status object."""
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "reason": self.reason}
        if self.details:
            body["details"] = self.details
        return {**body, "code": self.code}


class Api(Protocol):
    """What controllers, the control plane and command-line tools ask of a cluster.

    Every method raises ApiError for a Status of kind Failure. `namespace` is None for cluster-scoped resources and,
    in `list` and `watch`, for all namespaces.
    """

    async def get(self, gvr: Gvr, name: str, namespace: str | None = None) -> Object: ...

    async def list(self, gvr: Gvr, namespace: str | None = None, *, label_selector: str = "", field_selector: str = "") -> ObjectList: ...

    async def create(self, gvr: Gvr, obj: Object, namespace: str | None = None, *, name: str = "", subresource: str = "", dry_run: bool = False) -> Object:
        """Create an object; with `name` and `subresource`, post to it (`token`, `eviction`)."""
        ...

    async def update(self, gvr: Gvr, obj: Object, *, subresource: str = "") -> Object:
        """Replace an object under the resourceVersion that it carries."""
        ...

    async def patch(
        self,
        gvr: Gvr,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
        manager: str = "varka",
        force: bool = False,
    ) -> Object: ...

    async def delete(
        self, gvr: Gvr, name: str, namespace: str | None = None, *, propagation: str = "Background", grace_seconds: int | None = None, uid: str = ""
    ) -> Object: ...

    def watch(
        self, gvr: Gvr, namespace: str | None = None, *, resource_version: str, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Events after `resource_version`, bookmarks included; ends when the server ends it, raises ApiError 410 when the version is too old."""
        ...
