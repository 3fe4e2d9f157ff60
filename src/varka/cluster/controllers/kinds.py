"""Every kind that the cluster stores, custom ones included, followed by one informer each.

Garbage collection and the deletion of namespaces concern objects of all kinds; both hear of every change from here.
"""

from __future__ import annotations

from collections.abc import Callable

from varka.client import resources
from varka.client.api import ApiError, Gvr, Object
from varka.client.resources import CUSTOM_RESOURCE_DEFINITIONS, EVENTS, Resource
from varka.cluster.controllers.context import Context

ChangeHandler = Callable[[Resource, Object | None, Object | None], None]


class StoredKinds:
    """The kinds, by group and resource; Events are not among them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kinds: dict[tuple[str, str], Resource] = {}
        self._handlers: list[ChangeHandler] = []

    @property
    def all(self) -> list[Resource]:
        """The kinds known now."""
        return list(self._kinds.values())

    def add_handler(self, handler: ChangeHandler) -> None:
        """Tell `handler` of every change of every kind; call it before `start`."""
        self._handlers.append(handler)

    def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind, in whatever version it is stored."""
        group = api_version.rpartition("/")[0]
        return next((resource for resource in self._kinds.values() if resource.kind == kind and resource.gvr.group == group), None)

    async def start(self) -> None:
        """Follow the built-in kinds that this server has, and custom ones from now on."""
        for resource in resources.BUILTIN:
            if resource.gvr != EVENTS and await self._served(resource.gvr):
                self._follow(resource)
        self._context.informer(CUSTOM_RESOURCE_DEFINITIONS).add_handler(self._definition_changed)

    async def _served(self, gvr: Gvr) -> bool:
        if gvr in self._context.informers.kinds:
            return True
        try:
            await self._context.api.list(gvr)
        except ApiError as error:
            if error.code in (404, 405):
                return False
            raise
        return True

    def _definition_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            gone = self._kinds.pop((old["spec"]["group"], old["spec"]["names"]["plural"]), None)
            if gone is not None:
                left = list(self._context.informer(gone.gvr))
                self._context.informers.forget(gone.gvr)
                for obj in left:
                    for handler in self._handlers:
                        handler(gone, obj, None)
        elif new is not None and any(one["type"] == "Established" and one["status"] == "True" for one in (new.get("status") or {}).get("conditions") or ()):
            defined = resources.defined(new)
            if defined and (new["spec"]["group"], new["spec"]["names"]["plural"]) not in self._kinds:
                self._follow(defined[0])

    def _follow(self, resource: Resource) -> None:
        self._kinds[resource.gvr.group, resource.gvr.resource] = resource

        def handle(old: Object | None, new: Object | None) -> None:
            for handler in self._handlers:
                handler(resource, old, new)

        self._context.informer(resource.gvr).add_handler(handle)
