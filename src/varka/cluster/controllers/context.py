"""What every controller is handed: the API, the shared caches, the clock, the settings and the recorder of events.

Writes go through here, so that the caches know of them before the watch does: a controller that has created a pod sees it at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from varka.base.clock import Clock, parse_rfc3339, rfc3339
from varka.client.api import Api, ApiError, Gvr, Object
from varka.client.informers import Informer, Informers
from varka.cluster.controllers.settings import ControllerSettings


class Context:
    """One for all controllers of a process."""

    def __init__(self, api: Api, clock: Clock, settings: ControllerSettings) -> None:
        self.api = api
        self.clock = clock
        self.settings = settings
        self.informers = Informers(api, clock)

    def informer(self, gvr: Gvr) -> Informer:
        """The shared cache of a kind."""
        return self.informers.of(gvr)

    def timestamp(self) -> str:
        """Now, as Kubernetes writes it."""
        return rfc3339(self.clock.now())

    def age(self, timestamp: str) -> float:
        """Seconds since a Kubernetes timestamp."""
        return (self.clock.now() - parse_rfc3339(timestamp)).total_seconds()

    async def create(self, gvr: Gvr, obj: Object) -> Object:
        """Create `obj` in the namespace that it names."""
        made = await self.api.create(gvr, obj, obj["metadata"].get("namespace"))
        self.informer(gvr).learn(made)
        return made

    async def update(self, gvr: Gvr, obj: Object) -> Object:
        """Replace `obj` under its resourceVersion."""
        made = await self.api.update(gvr, obj)
        if "deletionTimestamp" not in made["metadata"]:
            self.informer(gvr).learn(made)
        return made

    async def update_status(self, gvr: Gvr, obj: Object, status: Object) -> Object:
        """Set the status of `obj`, unless it is that already."""
        if obj.get("status") == status:
            return obj
        made = await self.api.update(gvr, {**obj, "status": status}, subresource="status")
        self.informer(gvr).learn(made)
        return made

    async def patch(self, gvr: Gvr, obj: Object, patch: Any) -> Object:
        """Merge `patch` into `obj`."""
        made = await self.api.patch(gvr, obj["metadata"]["name"], patch, obj["metadata"].get("namespace"), manager="kube-controller-manager")
        if "deletionTimestamp" not in made["metadata"]:
            self.informer(gvr).learn(made)
        return made

    async def delete(self, gvr: Gvr, obj: Object, *, propagation: str = "Background") -> bool:
        """Delete exactly this `obj`; False when it is gone already."""
        meta = obj["metadata"]
        try:
            gone = await self.api.delete(gvr, meta["name"], meta.get("namespace"), uid=meta["uid"], propagation=propagation)
        except ApiError as error:
            if error.code in (404, 409):
                return False
            raise
        if (gone.get("metadata") or {}).get("deletionTimestamp") and "name" in gone["metadata"]:
            self.informer(gvr).learn(gone)
        return True


def clone(obj: Object) -> Object:
    """A copy that may be changed; what informers hold may not."""
    copied: Object = msgspec.json.decode(msgspec.json.encode(obj))
    return copied


def moment(text: str | None) -> datetime | None:
    """The moment of an optional timestamp."""
    return parse_rfc3339(text) if text else None
