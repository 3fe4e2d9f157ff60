"""Lists and watches, from memory.

A list is consistent at one revision; with `limit` it is cut, and the continue token says after which object to go on (later
pages show the objects as they are then). A watch walks the resource's change log; with a selector, an object that begins
or ceases to match is shown as added or deleted.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from varka.client.api import ApiError
from varka.cluster.apiserver import errors, selectors
from varka.cluster.apiserver.registry import Registry, ResourceInfo
from varka.cluster.apiserver.selectors import Match
from varka.cluster.store.log import Change, Entry, Expired
from varka.cluster.store.store import Store

BOOKMARK_SECONDS = 30.0
_EXACT, _NOT_OLDER = "Exact", "NotOlderThan"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """The query parameters of a list or watch."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    version_match: str = ""
    timeout: float = 0
    bookmarks: bool = False
    initial_events: bool | None = None

    @classmethod
    def parse(cls, query: dict[str, str], *, watch: bool) -> ListOptions:
        """From a query; ApiError 400 or 422 for values that are not allowed."""
        initial = query.get("sendInitialEvents")
        match = query.get("resourceVersionMatch", "")
        version = query.get("resourceVersion", "")
        if match and match not in (_EXACT, _NOT_OLDER):
            raise _invalid("resourceVersionMatch", f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan"')
        if watch:
            if initial is not None and match != _NOT_OLDER:
                raise _invalid("resourceVersionMatch", "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
            if initial is None and match:
                raise _invalid("resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        else:
            if initial is not None:
                raise _invalid("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list")
            if match and not version:
                raise _invalid("resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided")
            if match == _EXACT and version == "0":
                raise _invalid("resourceVersionMatch", 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
        return cls(
            label_selector=query.get("labelSelector", ""),
            field_selector=query.get("fieldSelector", ""),
            limit=_number(query, "limit"),
            continue_token=query.get("continue", ""),
            resource_version=version,
            version_match=match,
            timeout=_number(query, "timeoutSeconds"),
            bookmarks=query.get("allowWatchBookmarks") in ("true", "1"),
            initial_events=None if initial is None else initial in ("true", "1"),
        )


def _number(query: dict[str, str], name: str) -> int:
    text = query.get(name) or "0"
    try:
        return max(0, int(text))
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _invalid(field: str, text: str) -> ApiError:
    return ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {field}: {text}', {"group": "meta.k8s.io", "kind": "ListOptions"})


class Page(NamedTuple):
    """Part of a list: its entries, the list's revision, the token of the next part, and how many are left."""

    entries: list[Entry]
    revision: int
    continue_token: str
    remaining: int | None


class Event(NamedTuple):
    """One event of a watch; a BOOKMARK has no entry. `initial_end` marks the bookmark after the initial events."""

    type: str
    revision: int
    entry: Entry | None
    initial_end: bool = False


class Selection:
    """Which objects of a resource a request means."""

    def __init__(self, info: ResourceInfo, namespace: str, options: ListOptions) -> None:
        self.namespace = namespace if info.namespaced else ""
        self._labels: Match | None = selectors.labels(options.label_selector)
        self._fields: Match | None = selectors.fields(info.key, options.field_selector, info.crd.selectable if info.crd else ())

    def matches(self, entry: Entry) -> bool:
        """Whether the selectors mean an object."""
        return (self._labels is None or self._labels(entry.object)) and (self._fields is None or self._fields(entry.object))

    @property
    def everything(self) -> bool:
        """Whether there is no selector."""
        return self._labels is None and self._fields is None


class Lists:
    """Answers lists and watches from the store's memory."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def page(self, info: ResourceInfo, namespace: str, options: ListOptions) -> Page:
        """One page of a list; ApiError 410 for an exact version that is not the present one, 400 for a broken token."""
        store = self._store
        revision = store.revision
        after: tuple[str, str] | None = None
        if options.continue_token:
            revision, after = _read_token(options.continue_token)
        else:
            self._check_version(options, revision)
        selection = Selection(info, namespace, options)
        entries = list(store.list(info.key, selection.namespace))
        if after is not None:
            entries = [entry for entry in entries if _place(entry) > after]
        if not selection.everything:
            entries = [entry for entry in entries if selection.matches(entry)]
        if not options.limit or len(entries) <= options.limit:
            return Page(entries, revision, "", None)
        cut = entries[: options.limit]
        remaining = len(entries) - options.limit
        return Page(cut, revision, _token(revision, _place(cut[-1])), remaining if selection.everything else None)

    def _check_version(self, options: ListOptions, current: int) -> None:
        if not options.resource_version:
            return
        wanted = parse_version(options.resource_version)
        if wanted > current:
            raise too_large_version(wanted, current)
        if options.version_match == _EXACT and wanted != current:
            raise errors.expired(f"The provided resourceVersion for the list is too old: {wanted} (current: {current})")

    def watch(self, info: ResourceInfo, namespace: str, options: ListOptions) -> AsyncIterator[list[Event]]:
        """Batches of events until the time is over or the resource is no longer served. Wrong options raise at once; ApiError 410 comes while iterating, at the
        beginning or later, when the log no longer has what comes next.
        """
        selection = Selection(info, namespace, options)
        at = parse_version(options.resource_version) if options.resource_version else 0
        if at > self._store.revision:
            raise too_large_version(at, self._store.revision)
        return self._events(info, selection, options, at)

    async def _events(self, info: ResourceInfo, selection: Selection, options: ListOptions, at: int) -> AsyncIterator[list[Event]]:
        store, log = self._store, self._store.log(info.key)
        if options.initial_events if options.initial_events is not None else at == 0:
            at = store.revision
            first = [Event("ADDED", entry.revision, entry) for entry in store.list(info.key, selection.namespace) if selection.matches(entry)]
            if options.initial_events:
                first.append(Event("BOOKMARK", at, None, initial_end=True))
            yield first
        elif at == 0:
            at = store.revision
        deadline = time.monotonic() + options.timeout if options.timeout else None
        while True:
            try:
                changes = log.since(at)
            except Expired:
                raise errors.expired(f"too old resource version: {at} ({log.start})") from None
            # Everything up to the store's revision has been seen: no await lies between the two lines.
            at = store.revision
            events = [event for change in changes if (event := _visible(selection, change)) is not None]
            if events:
                yield events
                continue
            if self._registry.find(info.group, info.version, info.resource) is None:
                return
            left = BOOKMARK_SECONDS if deadline is None else min(BOOKMARK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return
            if not await log.wait(at, left) and options.bookmarks:
                if log.last <= at:
                    at = store.revision
                yield [Event("BOOKMARK", at, None)]


def _visible(selection: Selection, change: Change) -> Event | None:
    if selection.namespace and change.namespace != selection.namespace:
        return None
    if selection.everything:
        return Event(change.type, change.revision, change.entry)
    before = change.previous is not None and selection.matches(change.previous)
    if change.type == "DELETED":
        return Event("DELETED", change.revision, change.entry) if before else None
    if selection.matches(change.entry):
        return Event("MODIFIED" if before else "ADDED", change.revision, change.entry)
    return Event("DELETED", change.revision, change.entry) if before else None


def parse_version(text: str) -> int:
    """A resourceVersion as a number; ApiError 400 when it is none."""
    if not text.isdigit():
        raise errors.bad_request(f"Invalid value: {json.dumps(text)}: strconv.ParseUint: parsing {json.dumps(text)}: invalid syntax")
    return int(text)


def too_large_version(wanted: int, current: int) -> ApiError:
    """504 for a version of the future."""
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return ApiError(504, "Timeout", f"Timeout: Too large resource version: {wanted}, current: {current}", {"causes": causes, "retryAfterSeconds": 1})


def _place(entry: Entry) -> tuple[str, str]:
    meta = entry.object["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _token(revision: int, after: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": list(after)}).encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = read["start"]
        return int(read["rv"]), (str(namespace), str(name))
    except (ValueError, KeyError, TypeError) as error:
        raise errors.bad_request(f"continue key is not valid: {error}") from error
