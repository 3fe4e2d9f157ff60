"""From a change in the cluster to configuration that every proxy has accepted.

A lone change is pushed at once; changes that come together are gathered until it is quiet for a moment, but never
longer than a bound. A proxy whose configuration cannot be computed keeps the one it has, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from varka.base.clock import Clock
from varka.base.wire import WireResource
from varka.control import metrics
from varka.xds import types
from varka.xds.resource_set import EMPTY, ResourceSet
from varka.xds.server import Client, RefusedError
from varka.xds.streams import Outcome

log = logging.getLogger("varka.control.push")

SLICE_SECONDS = 0.01
"""How long proxies are computed before acknowledgements and API events get their turn."""
FIRST_STATE_SECONDS = 60.0

_PUSH_SECONDS = metrics.PUSH_SECONDS.labels(type="all")

Resources = Mapping[str, Mapping[str, WireResource]]


class Pipeline(Protocol):
    """The stages, as this module uses them."""

    def refresh(self) -> None:
        """Compute the mesh's state anew from what is known now."""
        ...

    async def settle(self) -> None:
        """Wait, not for long, for what configuration needs from outside of the cluster."""
        ...

    def identify(self, client: Client) -> Any:
        """The proxy behind a stream; RefusedError when its certificate is not for what it claims to be."""
        ...

    def resources(self, proxy: Any) -> Resources:
        """Everything that the proxy is to have, by type URL."""
        ...

    def secrets(self, proxy: Any, names: frozenset[str]) -> Sequence[WireResource]:
        """The credentials that the proxy asked for by name and may have."""
        ...


@dataclass(eq=False, kw_only=True)
class Push:
    """One change on its way. `waiting` are the proxies that have not accepted it yet."""

    number: int
    started: float
    reasons: frozenset[str]
    waiting: set[Client] = field(default_factory=set)


class SharedSets:
    """One ResourceSet for one mapping, however many proxies have it; what a whole push did not need is let go."""

    def __init__(self) -> None:
        self._new: dict[int, tuple[Mapping[str, WireResource], ResourceSet]] = {}
        self._old: dict[int, tuple[Mapping[str, WireResource], ResourceSet]] = {}

    def turn(self) -> None:
        """A push begins."""
        self._old, self._new = self._new, {}

    def of(self, resources: Mapping[str, WireResource], previous: ResourceSet | None) -> ResourceSet:
        """The set of these resources, reusing what it can of the one before."""
        if not resources:
            return EMPTY
        key = id(resources)
        found = self._new.get(key) or self._old.get(key)
        if found is None:
            made = ResourceSet(resources.values(), previous)
            if previous is not None and made.same_as(previous):
                made = previous
            found = (resources, made)
        self._new[key] = found
        return found[1]


class Watcher(Protocol):
    """Told of streams that open, once it is known who they are, and that end."""

    def connected(self, client: Client) -> None: ...

    def disconnected(self, client: Client) -> None: ...


class Pusher:
    """Owner of the discovery server's streams."""

    def __init__(self, pipeline: Pipeline, clock: Clock, *, after: float, at_most: float, watcher: Watcher | None = None) -> None:
        self._watcher = watcher
        self.clients: dict[str, Client] = {}
        self.pushes = 0
        self._pipeline = pipeline
        self._clock = clock
        self._after = after
        self._at_most = at_most
        self._sets = SharedSets()
        self._dirty = asyncio.Event()
        self._reasons: set[str] = set()
        self._first_change = 0.0
        self._last_change = 0.0
        self._last_push = float("-inf")
        self._ready = asyncio.Event()
        self._open: list[Push] = []

    @property
    def ready(self) -> bool:
        """Proxies can be served."""
        return self._ready.is_set()

    @property
    def quiet(self) -> bool:
        """No change is on its way to any proxy."""
        return not self._dirty.is_set() and not self._open

    def changed(self, reason: str) -> None:
        """Something that configuration depends on is different now."""
        now = self._clock.monotonic()
        if not self._reasons:
            self._first_change = now
        self._last_change = now
        self._reasons.add(reason)
        self._dirty.set()

    async def run(self) -> None:
        """Push until cancelled."""
        while True:
            await self._dirty.wait()
            await self._gather()
            self._dirty.clear()
            reasons, started = frozenset(self._reasons), self._first_change
            self._reasons.clear()
            try:
                await self._push(reasons, started)
            except Exception:
                log.exception("a push failed; proxies keep what they have")
            self._last_push = self._clock.monotonic()

    async def _gather(self) -> None:
        """Wait for the rest of a burst. A change after a quiet time does not wait."""
        await asyncio.sleep(0)
        if self._first_change - self._last_push >= self._after:
            return
        deadline = self._first_change + self._at_most
        while True:
            now = self._clock.monotonic()
            quiet_at = min(self._last_change + self._after, deadline)
            if now >= quiet_at:
                metrics.DEBOUNCE_SECONDS.observe(now - self._first_change)
                return
            await self._clock.sleep(quiet_at - now)

    async def _push(self, reasons: frozenset[str], started: float) -> None:
        before = self._clock.monotonic()
        self._pipeline.refresh()
        await self._pipeline.settle()
        metrics.CONTEXT_SECONDS.observe(self._clock.monotonic() - before)
        self.pushes += 1
        push = Push(number=self.pushes, started=started, reasons=reasons)
        for reason in reasons:
            metrics.TRIGGERS.labels(type=reason).inc()
        self._ready.set()
        self._sets.turn()
        self._open.append(push)
        slice_started = self._clock.monotonic()
        for client in list(self.clients.values()):
            if client.id in self.clients and self._publish(client) and not client.settled:
                push.waiting.add(client)
            if self._clock.monotonic() - slice_started > SLICE_SECONDS:
                await asyncio.sleep(0)
                slice_started = self._clock.monotonic()
        if not push.waiting:
            self._open.remove(push)
        log.info("push %d for %s: %d of %d proxies concerned", push.number, ",".join(sorted(reasons)) or "start", len(push.waiting), len(self.clients))

    def _publish(self, client: Client) -> bool:
        """Compute and publish; False when nothing is different, or when it could not be computed."""
        before = self._clock.monotonic()
        try:
            client.context = self._pipeline.identify(client)
            computed = self._pipeline.resources(client.context)
        except RefusedError as error:
            log.warning("%s: %s", client.node.id, error)
            return False
        except Exception:
            metrics.PUSH_ERRORS.inc()
            log.exception("%s: its configuration cannot be computed; it keeps the last one", client.node.id)
            return False
        sets = {url: self._sets.of(resources, client.resources.get(url)) for url, resources in computed.items()}
        sets[types.SECRET] = self._secrets(client)
        _PUSH_SECONDS.observe(self._clock.monotonic() - before)
        if client.ready and sets.keys() == client.resources.keys() and all(sets[url] is client.resources[url] for url in sets):
            return False
        client.publish(sets)
        return True

    def _secrets(self, client: Client) -> ResourceSet:
        subscription = client.state.types.get(types.SECRET)
        names = frozenset(subscription.names) if subscription is not None else frozenset()
        found = ResourceSet(self._pipeline.secrets(client.context, names)) if names else EMPTY
        previous = client.resources.get(types.SECRET, EMPTY)
        return previous if found.same_as(previous) else found

    async def connected(self, client: Client) -> None:
        """Check who it is, and give it its configuration; called by the server."""
        try:
            async with asyncio.timeout(FIRST_STATE_SECONDS):
                await self._ready.wait()
        except TimeoutError as error:
            raise RefusedError("the control plane does not know the mesh yet; try again") from error
        client.context = self._pipeline.identify(client)
        self.clients[client.id] = client
        if self._watcher is not None:
            self._watcher.connected(client)
        self._publish(client)
        log.info("%s connected as %s", client.node.id, client.peer)
        await asyncio.sleep(0)

    def answered(self, client: Client, type_url: str, outcome: Outcome) -> None:
        """A request was applied; called by the server."""
        if client.id not in self.clients:
            return
        if type_url == types.SECRET and outcome not in (Outcome.UNKNOWN_TYPE, Outcome.TOO_MANY):
            self._refresh_secrets(client)
        for push in list(self._open):
            if client in push.waiting and client.settled:
                metrics.PROXY_CONVERGENCE.observe(self._clock.monotonic() - push.started)
                self._done(push, client)

    def _refresh_secrets(self, client: Client) -> None:
        found = self._secrets(client)
        if found is not client.resources.get(types.SECRET):
            client.publish({**client.resources, types.SECRET: found})

    def _done(self, push: Push, client: Client) -> None:
        push.waiting.discard(client)
        if not push.waiting:
            self._open.remove(push)
            metrics.CONVERGENCE.observe(self._clock.monotonic() - push.started)

    def disconnected(self, client: Client) -> None:
        """A stream has ended; called by the server."""
        if self._watcher is not None:
            self._watcher.disconnected(client)
        if self.clients.pop(client.id, None) is not None:
            log.info("%s disconnected", client.node.id)
        for push in list(self._open):
            if client in push.waiting:
                push.waiting.discard(client)
                if not push.waiting:
                    self._open.remove(push)
