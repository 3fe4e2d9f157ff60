"""`pods/log`: a container's output as plain text, once or followed until it ends or the reader goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime, timedelta

from aiohttp import web

from varka.base import clock as clocks
from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.podruntime import LogOptions
from varka.cluster.apiserver.request import Attributes, ServerContext
from varka.cluster.apiserver.streams import containers

FIRST_WAIT = 0.25
"""Seconds to wait for the first piece of a followed log before the answer begins: long enough for an error to come first."""
CHECK = 1.0
"""Seconds between looks at whether the reader of a silent log is still there."""


async def serve(context: ServerContext, request: web.Request, attributes: Attributes, pod: Object) -> web.StreamResponse:
    """Answer GET `pods/log`."""
    options = parse(request, pod, clocks.SystemClock().now())
    if not (pod.get("spec") or {}).get("nodeName"):
        return web.Response(text="")
    containers.check_log(pod, options.container, previous=options.previous)
    source = containers.runtime_of(context).logs(attributes.namespace, pod["metadata"]["name"], options)
    pending = asyncio.ensure_future(_next(source))
    try:
        await asyncio.wait([pending], timeout=FIRST_WAIT if options.follow else None)
        if pending.done() and (failure := pending.exception()):
            raise failure
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-cache, private"})
        await response.prepare(request)
        left = options.limit_bytes
        while True:
            piece = await _wait(pending, request)
            if piece is None:
                break
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            await response.write(piece)
            if left == 0:
                break
            pending = asyncio.ensure_future(_next(source))
        with suppress(ConnectionError):
            await response.write_eof()
        return response
    except ConnectionError:
        return response
    finally:
        pending.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await pending
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def parse(request: web.Request, pod: Object, now: datetime) -> LogOptions:
    """The query as options; ApiError 400 or 422 for what cannot be."""
    query = request.query
    container = containers.choose(pod, query.get("container", ""))
    tail, limit, seconds = (_number(query.get(name), name) for name in ("tailLines", "limitBytes", "sinceSeconds"))
    since: datetime | None = None
    if seconds is not None and query.get("sinceTime"):
        raise _invalid("sinceSeconds", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified")
    if tail is not None and tail < 0:
        raise _invalid("tailLines", f"Invalid value: {tail}: must be greater than or equal to 0")
    if limit is not None and limit < 1:
        raise _invalid("limitBytes", f"Invalid value: {limit}: must be greater than 0")
    if seconds is not None:
        if seconds < 1:
            raise _invalid("sinceSeconds", f"Invalid value: {seconds}: must be greater than 0")
        since = now - timedelta(seconds=seconds)
    elif query.get("sinceTime"):
        try:
            since = clocks.parse_rfc3339(query["sinceTime"])
        except ValueError as error:
            raise errors.bad_request(f'parsing time "{query["sinceTime"]}": {error}') from error
    return LogOptions(
        container=container,
        follow=containers.flag(query.get("follow")),
        previous=containers.flag(query.get("previous")),
        tail_lines=tail,
        limit_bytes=limit,
        since=since,
        timestamps=containers.flag(query.get("timestamps")),
    )


async def _next(source: AsyncIterator[bytes]) -> bytes | None:
    return await anext(source, None)


async def _wait(pending: asyncio.Future[bytes | None], request: web.Request) -> bytes | None:
    """The next piece; None at the end of the log, or when the reader has gone."""
    while not pending.done():
        if request.transport is None or request.transport.is_closing():
            return None
        await asyncio.wait([pending], timeout=CHECK)
    return pending.result()


def _number(text: str | None, name: str) -> int | None:
    if text is None or text == "":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise errors.bad_request(f'converting ({name}) failed: strconv.ParseInt: parsing "{text}": invalid syntax') from error


def _invalid(field: str, text: str) -> ApiError:
    reason = "FieldValueForbidden" if text.startswith("Forbidden") else "FieldValueInvalid"
    details = {"kind": "PodLogOptions", "causes": [{"reason": reason, "message": text, "field": field}]}
    return ApiError(422, "Invalid", f'PodLogOptions "" is invalid: {field}: {text}', details)
