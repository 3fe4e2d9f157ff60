"""Objects, lists and watch events as bytes, in the form that the caller wants: as they are, as a Table, or their metadata only."""

from __future__ import annotations

import asyncio
import json

import msgspec
from aiohttp import web

from varka.client.api import ApiError, Object
from varka.cluster.apiserver.core import Core
from varka.cluster.apiserver.objects import intake
from varka.cluster.apiserver.objects.lists import Event, ListOptions, Page
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.request import Attributes
from varka.cluster.apiserver.rest.negotiation import Wanted
from varka.cluster.store.log import Entry

_INITIAL_END = {"k8s.io/initial-events-end": "true"}
_WRITE_LIMIT = 60.0
"""Seconds that a watcher may take to read what is sent before it is cut off."""


def warning(text: str) -> str:
    """A Warning header's value."""
    return f"299 - {json.dumps(text)}"


def _partial(obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def one(info: ResourceInfo, obj: Object, wanted: Wanted, include: str) -> Object:
    """One object in the wanted form."""
    if wanted.form == "Table":
        return _table(info, [obj], include, obj["metadata"].get("resourceVersion", ""))
    return _partial(obj) if wanted.form == "PartialObjectMetadata" else obj


def read(info: ResourceInfo, answer: Object, wanted: Wanted, include: str) -> Object:
    """What a reader gave, one object or a list, in the wanted form."""
    items = answer.get("items")
    if items is None:
        return one(info, answer, wanted, include)
    return _table(info, items, include, "") if wanted.form == "Table" else answer


def _table(info: ResourceInfo, objects: list[Object], include: str, version: str, page: Page | None = None) -> Object:
    from varka.cluster.apiserver import tables

    table: Object = tables.render(info, objects, include or "Metadata")
    meta: Object = {"resourceVersion": version}
    if page is not None and page.continue_token:
        meta["continue"] = page.continue_token
        if page.remaining is not None:
            meta["remainingItemCount"] = page.remaining
    table["metadata"] = meta
    return table


def listing(info: ResourceInfo, page: Page, wanted: Wanted, include: str) -> bytes:
    """A list in the wanted form; objects in their stored version go out as the bytes that the store has."""
    if wanted.form == "Table":
        objects = [intake.to_version(entry.object, info) for entry in page.entries]
        return msgspec.json.encode(_table(info, objects, include, str(page.revision), page))
    meta: Object = {"resourceVersion": str(page.revision)}
    if page.continue_token:
        meta["continue"] = page.continue_token
        if page.remaining is not None:
            meta["remainingItemCount"] = page.remaining
    if wanted.form == "PartialObjectMetadataList":
        items = [_partial(entry.object) for entry in page.entries]
        return msgspec.json.encode({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items})
    head = msgspec.json.encode({"kind": info.list_kind or f"{info.kind}List", "apiVersion": info.api_version, "metadata": meta})
    return head[:-1] + b',"items":[' + b",".join(_body(info, entry) for entry in page.entries) + b"]}"


def _body(info: ResourceInfo, entry: Entry) -> bytes:
    if entry.object.get("apiVersion") == info.api_version:
        return entry.body
    return msgspec.json.encode(intake.to_version(entry.object, info))


class _EventWriter:
    """Turns events of one watch into lines."""

    def __init__(self, info: ResourceInfo, wanted: Wanted, include: str) -> None:
        self._info = info
        self._wanted = wanted
        self._include = include
        self._first = True

    def line(self, event: Event) -> bytes:
        """One event as JSON and a line break."""
        return b'{"type":"' + event.type.encode() + b'","object":' + self._object(event) + b"}\n"

    def _object(self, event: Event) -> bytes:
        info, form = self._info, self._wanted.form
        if event.entry is None:
            meta: Object = {"resourceVersion": str(event.revision), "creationTimestamp": None}
            if event.initial_end:
                meta["annotations"] = _INITIAL_END
            if form == "Table":
                return msgspec.json.encode({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": [], "rows": []})
            kind, version = ("PartialObjectMetadata", "meta.k8s.io/v1") if form else (info.kind, info.api_version)
            return msgspec.json.encode({"kind": kind, "apiVersion": version, "metadata": meta})
        if form == "Table":
            obj = intake.to_version(event.entry.object, info)
            table = _table(info, [obj], self._include, str(event.revision))
            if not self._first:
                table["columnDefinitions"] = None
            self._first = False
            return msgspec.json.encode(table)
        if form.startswith("PartialObjectMetadata"):
            return msgspec.json.encode(_partial(event.entry.object))
        return _body(info, event.entry)


async def watch(core: Core, request: web.Request, attributes: Attributes, info: ResourceInfo, wanted: Wanted) -> web.StreamResponse:
    """A watch as a stream of JSON lines; what goes wrong after the start is an ERROR event."""
    query = dict(attributes.query)
    if attributes.name:
        query["fieldSelector"] = f"metadata.name={attributes.name}"
    options = ListOptions.parse(query, watch=True)
    events = core.lists.watch(info, attributes.namespace, options)
    writer = _EventWriter(info, wanted, query.get("includeObject", ""))
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
    await response.prepare(request)
    try:
        async for batch in events:
            async with asyncio.timeout(_WRITE_LIMIT):
                await response.write(b"".join(map(writer.line, batch)))
    except ApiError as error:
        await response.write(msgspec.json.encode({"type": "ERROR", "object": error.status}) + b"\n")
    except (ConnectionError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
    return response
