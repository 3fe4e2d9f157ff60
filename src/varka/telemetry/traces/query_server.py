"""Jaeger's query API over HTTP, both the older `/api/…` and `/api/v3/…`, and the health of the process.

Source: Jaeger 1.70, `cmd/query/app`. Questions are answered in threads, so that a long one holds up no other.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from prometheus_client import generate_latest

from varka.telemetry.traces import legacy_json, metrics, otlp_json, questions, spans
from varka.telemetry.traces.intake import Intake
from varka.telemetry.traces.reading import Reader
from varka.telemetry.traces.settings import Settings

_Handler = Callable[[web.Request], Awaitable[Any]]
_HELLO = """Jaeger's query API, answered by Varka's trace store.

  {base}/api/services                         {base}/api/v3/services
  {base}/api/operations?service=NAME          {base}/api/v3/operations?service=NAME
  {base}/api/traces?service=NAME              {base}/api/v3/traces?query.service_name=NAME
  {base}/api/traces/ID                        {base}/api/v3/traces/ID
  {base}/api/dependencies?endTs=MS&lookback=MS  {base}/api/v3/trace-summaries?query.service_name=NAME
"""


class QueryServer:
    """The query port and the admin port."""

    def __init__(self, reader: Reader, intake: Intake, settings: Settings) -> None:
        self._reader = reader
        self._intake = intake
        self._settings = settings
        self._base = settings.base_path.rstrip("/")
        self._started = time.time()
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Listen; OSError when a port is taken."""
        query = web.Application()
        older: dict[str, _Handler] = {
            "/api/services": self._services,
            "/api/services/{service}/operations": self._operation_names,
            "/api/operations": self._operations,
            "/api/traces": self._find,
            "/api/traces/{id}": self._trace,
            "/api/dependencies": self._dependencies,
        }
        newer: dict[str, _Handler] = {
            "/api/v3/services": self._services_v3,
            "/api/v3/operations": self._operations_v3,
            "/api/v3/traces": self._find_v3,
            "/api/v3/trace-summaries": self._summaries_v3,
            "/api/v3/traces/{id}": self._trace_v3,
        }
        for handlers, wrap in ((older, _older), (newer, _newer)):
            for path, handler in handlers.items():
                query.router.add_get(self._base + path, wrap(handler))
        for path in {f"{self._base}/", self._base or "/"}:
            query.router.add_get(path, self._hello)
        admin = web.Application()
        admin.router.add_get("/", self._health)
        admin.router.add_get("/ready", self._ready)
        admin.router.add_get("/metrics", self._metrics)
        for app, port in ((query, self._settings.query_port), (admin, self._settings.admin_port)):
            runner = web.AppRunner(app, access_log=None, handle_signals=False)
            self._runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, self._settings.bind, port).start()

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    async def _hello(self, _: web.Request) -> web.Response:
        return web.Response(text=_HELLO.replace("{base}", self._base))

    async def _health(self, _: web.Request) -> web.Response:
        """Alive; a store in trouble is no reason to be restarted."""
        up = time.time() - self._started
        return web.json_response({"status": "Server available", "uptime": f"{up:.3f}s", "trouble": self._intake.trouble})

    async def _ready(self, _: web.Request) -> web.Response:
        trouble = self._intake.trouble
        return web.json_response({"trouble": trouble}, status=503 if trouble else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.REGISTRY), content_type="text/plain")

    async def _services(self, _: web.Request) -> Any:
        names = await asyncio.to_thread(self._reader.services)
        return legacy_json.answer(names, total=len(names))

    async def _operation_names(self, request: web.Request) -> Any:
        found = await asyncio.to_thread(self._reader.operations, request.match_info["service"])
        names = sorted({one.name for one in found})
        return legacy_json.answer(names, total=len(names))

    async def _operations(self, request: web.Request) -> Any:
        found = await asyncio.to_thread(self._reader.operations, _required(request, "service"), request.query.get("spanKind", ""))
        return legacy_json.answer([{"name": one.name, "spanKind": one.kind if one.kind != "unspecified" else ""} for one in found], total=len(found))

    async def _find(self, request: web.Request) -> Any:
        ids = request.query.getall("traceID", [])
        if ids:
            found = [trace for one in ids if (trace := await asyncio.to_thread(self._reader.trace, spans.trace_id(one))) is not None]
        else:
            question = questions.legacy(request.query, request.query.getall("tag", []), time.time_ns())
            found = await asyncio.to_thread(self._reader.find, question)
        return legacy_json.answer([legacy_json.trace(one) for one in found], total=len(found))

    async def _trace(self, request: web.Request) -> Any:
        found = await asyncio.to_thread(self._reader.trace, spans.trace_id(request.match_info["id"]))
        if found is None:
            raise LookupError("trace not found")
        return legacy_json.answer([legacy_json.trace(found)])

    async def _dependencies(self, request: web.Request) -> Any:
        latest = _milliseconds(request, "endTs", time.time_ns() // 10**6)
        earliest = max(0, latest - _milliseconds(request, "lookback", 86_400_000))
        return legacy_json.answer(legacy_json.dependencies(await asyncio.to_thread(self._reader.dependencies, earliest * 10**6, latest * 10**6)))

    async def _services_v3(self, _: web.Request) -> Any:
        return {"services": await asyncio.to_thread(self._reader.services)}

    async def _operations_v3(self, request: web.Request) -> Any:
        found = await asyncio.to_thread(self._reader.operations, _required(request, "service"), request.query.get("span_kind", ""))
        return {"operations": [{"name": one.name, "spanKind": one.kind} for one in found]}

    async def _find_v3(self, request: web.Request) -> Any:
        found = await asyncio.to_thread(self._reader.find, questions.v3(request.query, time.time_ns()))
        if not found:
            raise LookupError("No traces found")
        return {"result": otlp_json.traces(found)}

    async def _summaries_v3(self, request: web.Request) -> Any:
        found = await asyncio.to_thread(self._reader.find, questions.v3(request.query, time.time_ns()))
        return {"summaries": otlp_json.summaries(found)}

    async def _trace_v3(self, request: web.Request) -> Any:
        found = await asyncio.to_thread(self._reader.trace, spans.trace_id(request.match_info["id"]))
        if found is None:
            raise LookupError("trace not found")
        return {"result": otlp_json.traces([found])}


def _required(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    if not value:
        raise ValueError(f"parameter '{name}' is required")
    return value


def _milliseconds(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ValueError(f"unable to parse param '{name}': {text[:40]!r} is no number of milliseconds")
    return int(text) if text else default


def _older(handler: _Handler) -> _Handler:
    return _answering(handler, lambda code, message: legacy_json.answer(None, errors=[{"code": code, "msg": message}]))


def _newer(handler: _Handler) -> _Handler:
    return _answering(handler, lambda code, message: {"error": {"httpCode": code, "message": message}})


def _answering(handler: _Handler, failure: Callable[[int, str], Any]) -> _Handler:
    """The handler's value as JSON, and what it raises in the API's own form."""

    async def handle(request: web.Request) -> web.Response:
        status = 200
        try:
            value = await handler(request)
        except ValueError as error:
            status, value = 400, failure(400, str(error))
        except LookupError as error:
            status, value = 404, failure(404, str(error.args[0]))
        except sqlite3.Error as error:
            status, value = 500, failure(500, f"the store cannot be read: {error}")
        return web.json_response(value, status=status, dumps=lambda shown: json.dumps(shown, ensure_ascii=False))

    return handle
