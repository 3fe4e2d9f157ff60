"""What one stream has asked for, been told and answered. No I/O, no clock.

For every type there is at most one response under way. While it is unanswered nothing more of that type is sent;
the answer then brings the newest state, however many states went by. A resource that a proxy rejects is set aside
for that proxy until it changes. When a rejection does not say which of several resources it means, they are sent
again in halves, so that the good ones are never held back by the bad one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from varka.xds import types
from varka.xds.resource_set import EMPTY, Packed, ResourceSet

MAX_NAMES = 200_000
"""Names that one stream may subscribe to for one type; a proxy of 10,000 services needs far fewer."""
WILDCARD = "*"
WILDCARD_TYPES = (types.CLUSTER, types.LISTENER, types.NAME_TABLE)
"""Types for which a first request without names asks for everything."""


_DUMP = re.compile(r"goo\.gle/debug\w*\s.*?\n: |goo\.gle/debug\w*\s.*$", re.DOTALL)
MAX_ERROR = 1000


def shortened(error: str) -> str:
    """What a proxy says, without the dump of the resource that it puts in the middle of the sentence."""
    text = " ".join(_DUMP.sub("", error).split())
    return text if len(text) <= MAX_ERROR else text[:MAX_ERROR] + " …"


class Outcome(StrEnum):
    """What a request was."""

    SUBSCRIBED = "subscribed"
    ACK = "ack"
    NACK = "nack"
    STALE = "stale"
    UNKNOWN_TYPE = "unknown type"
    TOO_MANY = "too many names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A DiscoveryRequest or DeltaDiscoveryRequest. `names` are all names (state of the world) or those to add (delta)."""

    type_url: str
    nonce: str = ""
    error: str | None = None
    names: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One message to the proxy."""

    type_url: str
    nonce: str
    version: str
    resources: tuple[Packed, ...] = ()
    removed: tuple[str, ...] = ()
    delta: bool = True


class Subscription:
    """The state of one type on one stream.

    `base` is the set from which the proxy was last served, `overrides` the names for which it knows something else
    than `base` says: a version, or the empty string for nothing.
    """

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.wildcard = False
        self.names: set[str] = set()
        self.base: ResourceSet | None = None
        self.overrides: dict[str, str] = {}
        self.must_answer = True
        self.outstanding: Response | None = None
        self.suspects: list[tuple[str, ...]] = []
        self.rejected: dict[str, tuple[str, str]] = {}
        """name → (version, error) of what the proxy refused and would refuse again."""
        self.nonce_sent = ""
        self.nonce_acked = ""
        self.error = ""
        self.restored = False
        """The proxy came back with versions of its own, so that nothing may have to be sent at all."""

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def known(self, name: str) -> str:
        """The version that the proxy was last told of, empty for none."""
        found = self.overrides.get(name)
        if found is not None:
            return found
        return self.base.version_of(name) if self.base is not None else ""

    def differences(self, current: ResourceSet) -> tuple[list[str], list[str]]:
        """Names to send and names to take away, for the proxy to know `current`; both sorted."""
        if current is self.base and not self.overrides:
            return [], []
        if self.base is None:
            candidates: Iterable[str] = {*current, *self.overrides}
        else:
            change = current.changes_from(self.base)
            candidates = {*change.updated, *change.removed, *self.overrides} if self.overrides else (*change.updated, *change.removed)
        if not self.wildcard and self.base is None:
            candidates = self.names | self.overrides.keys()
        held = {name for group in self.suspects for name in group}
        updated: list[str] = []
        removed: list[str] = []
        for name in candidates:
            if not self.wants(name) or name in held:
                continue
            version = current.version_of(name)
            if not version:
                if self.known(name) or (name in self.overrides and not self.wildcard) or (self.base is None and not self.wildcard):
                    removed.append(name)
            elif version != self.known(name) and not self._refused(name, version):
                updated.append(name)
        return sorted(updated), sorted(removed)

    def _refused(self, name: str, version: str) -> bool:
        found = self.rejected.get(name)
        return found is not None and found[0] == version


class StreamState:
    """All types of one stream. `request` takes in what the proxy says; `responses` gives what to send now."""

    def __init__(self, *, delta: bool = True) -> None:
        self.delta = delta
        self.types: dict[str, Subscription] = {}
        self.unknown_types: dict[str, int] = {}
        self.stale = 0
        self._count = 0

    def request(self, request: Request) -> Outcome:
        """Apply one request of the proxy."""
        if request.type_url not in types.KNOWN:
            if len(self.unknown_types) < 100 or request.type_url in self.unknown_types:
                self.unknown_types[request.type_url] = self.unknown_types.get(request.type_url, 0) + 1
            return Outcome.UNKNOWN_TYPE
        state = self.types.get(request.type_url)
        first = state is None
        if state is None:
            state = self.types[request.type_url] = Subscription(request.type_url)
        outcome = self._answer(state, request) if request.nonce and not first else Outcome.SUBSCRIBED
        if outcome is Outcome.STALE and not self.delta:
            return outcome
        if len(state.names) + len(request.names) > MAX_NAMES:
            return Outcome.TOO_MANY
        if self.delta:
            _subscribe_delta(state, request, first)
        else:
            _subscribe_world(state, request)
        return outcome

    def _answer(self, state: Subscription, request: Request) -> Outcome:
        pending = state.outstanding
        if pending is None or pending.nonce != request.nonce:
            self.stale += 1
            return Outcome.STALE
        state.outstanding = None
        if request.error is None:
            for packed in pending.resources:
                state.rejected.pop(packed.resource.name, None)
            for name in pending.removed:
                state.rejected.pop(name, None)
            state.nonce_acked = pending.nonce
            state.error = next((error for _, error in state.rejected.values()), "")
            return Outcome.ACK
        state.error = shortened(request.error) or "rejected without a reason"
        if self.delta:
            _set_aside(state, pending, request.error)
        else:
            for packed in pending.resources:
                state.rejected[packed.resource.name] = (packed.version, state.error)
        return Outcome.NACK

    def responses(self, resources: Mapping[str, ResourceSet]) -> list[Response]:
        """What may be sent now; the caller has to send it, and in this order."""
        found = []
        for type_url in types.ORDER:
            state = self.types.get(type_url)
            if state is None or state.outstanding is not None:
                continue
            if any(self._busy(earlier, resources) for earlier in types.AFTER.get(type_url, ())):
                continue
            response = self._next(state, resources.get(type_url, EMPTY), resources)
            if response is not None:
                state.outstanding = response
                state.nonce_sent = response.nonce
                found.append(response)
                self._warm(response)
        return found

    def _warm(self, sent: Response) -> None:
        """Send again what the proxy needs to warm up what it was just sent.

        Envoy makes a changed cluster anew and waits for its endpoints, although it subscribed to them long ago; until they
        come it acknowledges no clusters either.
        """
        needed = self.types.get(types.WARMED_BY.get(sent.type_url, "")) if self.delta else None
        if needed is None:
            return
        for packed in sent.resources:
            if packed.resource.name in needed.names:
                needed.overrides[packed.resource.name] = ""

    def settled(self, resources: Mapping[str, ResourceSet]) -> bool:
        """The proxy has answered everything and there is nothing left to tell it."""
        return not any(self._busy(type_url, resources) for type_url in self.types)

    def _busy(self, type_url: str, resources: Mapping[str, ResourceSet]) -> bool:
        """Something of that type is under way, or could go out."""
        state = self.types.get(type_url)
        if state is None:
            return False
        if state.outstanding is not None or state.suspects:
            return True
        if not self.delta:
            return self._world_due(state, resources.get(type_url, EMPTY))
        updated, removed = state.differences(resources.get(type_url, EMPTY))
        return bool(updated or (removed and type_url not in types.REMOVE_AFTER))

    def _next(self, state: Subscription, current: ResourceSet, resources: Mapping[str, ResourceSet]) -> Response | None:
        return self._next_delta(state, current, resources) if self.delta else self._next_world(state, current)

    def _next_delta(self, state: Subscription, current: ResourceSet, resources: Mapping[str, ResourceSet]) -> Response | None:
        while state.suspects:
            group = [packed for name in state.suspects.pop(0) if state.wants(name) and (packed := current.get(name)) is not None]
            if group:
                for packed in group:
                    state.overrides[packed.resource.name] = packed.version
                return self._response(state, current, tuple(group), ())
        updated, removed = state.differences(current)
        kept: list[str] = []
        if removed and any(self._busy(later, resources) for later in types.REMOVE_AFTER.get(state.type_url, ())):
            kept, removed = removed, []
        if not updated and not removed and not state.must_answer:
            if not kept:
                state.base, state.overrides = current, {}
            return None
        state.must_answer = False
        changed = tuple(found for name in updated if (found := current.get(name)) is not None)
        state.overrides = {name: state.known(name) for name in kept}
        state.base = current
        return self._response(state, current, changed, tuple(removed))

    def _world_due(self, state: Subscription, current: ResourceSet) -> bool:
        if state.must_answer or state.base is None:
            return state.must_answer
        change = current.changes_from(state.base)
        return any(state.wants(name) for names in change for name in names)

    def _next_world(self, state: Subscription, current: ResourceSet) -> Response | None:
        if not self._world_due(state, current):
            if state.base is not None:
                state.base = current
            return None
        state.must_answer = False
        state.base = current
        wanted = sorted(current) if state.wildcard else sorted(state.names)
        packed = tuple(found for name in wanted if (found := current.get(name)) is not None)
        return self._response(state, current, packed, ())

    def _response(self, state: Subscription, current: ResourceSet, packed: tuple[Packed, ...], removed: tuple[str, ...]) -> Response:
        self._count += 1
        version = current.version if not self.delta else ""
        return Response(type_url=state.type_url, nonce=f"{self._count:08x}", version=version, resources=packed, removed=removed, delta=self.delta)


def _subscribe_delta(state: Subscription, request: Request, first: bool) -> None:
    if first:
        state.wildcard = not request.names and state.type_url in WILDCARD_TYPES
        if request.initial_versions:
            state.overrides.update(request.initial_versions)
            state.must_answer = False
            state.restored = True
        elif request.names and WILDCARD not in request.names:
            state.must_answer = False
    for name in request.names:
        if name == WILDCARD:
            if not state.wildcard:
                state.wildcard = True
                state.must_answer = state.must_answer or not first
                state.base = None
            continue
        state.names.add(name)
        if not first or name not in request.initial_versions:
            state.overrides[name] = ""
            state.rejected.pop(name, None)
    for name in request.unsubscribe:
        if name == WILDCARD:
            state.wildcard = False
        state.names.discard(name)
        state.overrides.pop(name, None)
        state.rejected.pop(name, None)
        state.suspects = [group for old in state.suspects if (group := tuple(one for one in old if one != name))]


def _subscribe_world(state: Subscription, request: Request) -> None:
    names = set(request.names)
    wildcard = WILDCARD in names or (not names and not state.names and state.type_url in WILDCARD_TYPES)
    names.discard(WILDCARD)
    if wildcard != state.wildcard or names - state.names:
        state.must_answer = True
    state.wildcard, state.names = wildcard, names


def _set_aside(state: Subscription, refused: Response, error: str) -> None:
    """Find out which resources of a refused response are to blame, and arrange for the others to be sent again."""
    names = [packed.resource.name for packed in refused.resources]
    versions = {packed.resource.name: packed.version for packed in refused.resources}
    blamed = names if len(names) == 1 else [name for name in names if _mentions(error, name)]
    for name in blamed:
        state.rejected[name] = (versions[name], state.error)
    innocent = [name for name in names if name not in set(blamed)]
    if not innocent:
        return
    if blamed:
        state.suspects.append(tuple(innocent))
        return
    middle = len(innocent) // 2
    state.suspects += [tuple(innocent[:middle]), tuple(innocent[middle:])]


def _mentions(error: str, name: str) -> bool:
    """The text contains the name as a whole, not as a part of a longer one."""
    at = error.find(name)
    while at >= 0:
        before, after = error[at - 1 : at] if at else "", error[at + len(name) : at + len(name) + 1]
        if not _joins(before, "|_-.") and not _joins(after, "|_-"):
            return True
        at = error.find(name, at + 1)
    return False


def _joins(character: str, also: str) -> bool:
    return bool(character) and (character.isalnum() or character in also)
