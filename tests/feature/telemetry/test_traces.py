"""The trace store as a process sees it: spans in through every receiver, answers out of both query APIs."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from tests.builders import otlp as build
from tests.feature.telemetry import ports

from varka.telemetry.traces.collector import Collector
from varka.telemetry.traces.intake import Intake
from varka.telemetry.traces.query_server import QueryServer
from varka.telemetry.traces.reading import Reader
from varka.telemetry.traces.settings import Settings
from varka.telemetry.traces.store import Store

_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A trace store on free ports."""

    settings: Settings
    intake: Intake
    session: aiohttp.ClientSession

    async def ask(self, path: str, **parameters: str) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.settings.query_port}/jaeger{path}"
        async with self.session.get(url, params=parameters) as answer:
            return answer.status, await answer.json()

    async def post(self, port: int, path: str, body: bytes, content_type: str, **headers: str) -> tuple[int, bytes]:
        url = f"http://127.0.0.1:{port}{path}"
        async with self.session.post(url, data=body, headers={"content-type": content_type, **headers}) as answer:
            return answer.status, await answer.read()

    async def settled(self) -> None:
        assert await asyncio.to_thread(self.intake.settled, 20)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    query, admin, otlp_grpc, otlp_http, zipkin = ports.free(5)
    settings = Settings(
        bind="127.0.0.1",
        folder=tmp_path,
        base_path="/jaeger",
        query_port=query,
        admin_port=admin,
        otlp_grpc_port=otlp_grpc,
        otlp_http_port=otlp_http,
        zipkin_port=zipkin,
        max_age=4e9,
    )
    store = Store(tmp_path / "traces.db")
    intake = Intake(store, settings)
    collector, server = Collector(intake, settings), QueryServer(Reader(store.path), intake, settings)
    intake.start()
    await server.start()
    await collector.start()
    async with aiohttp.ClientSession() as session:
        yield Running(settings=settings, intake=intake, session=session)
    await collector.stop()
    await server.stop()
    await asyncio.to_thread(intake.stop)
    store.close()


async def test_otlp_over_grpc_is_found_in_both_apis(running: Running) -> None:
    """One span, exported by gRPC, is the same in Jaeger's older and newer JSON."""
    start = time.time_ns() // 1000 * 1000
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.settings.otlp_grpc_port}") as channel:
        export = channel.unary_unary(_EXPORT)
        assert await export(build.request(start=start, tags={"http.status_code": 503}, error=True).SerializeToString()) == b""
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await export(b"\xff\xff")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    await running.settled()
    assert await running.ask("/api/services") == (200, {"data": ["productpage.default"], "total": 1, "limit": 0, "offset": 0, "errors": None})
    status, answer = await running.ask("/api/traces", service="productpage.default", tags='{"http.status_code":"503"}')
    assert status == 200
    assert answer["data"] == [
        {
            "traceID": build.TRACE,
            "spans": [
                {
                    "traceID": build.TRACE,
                    "spanID": "b7ad6b7169203331",
                    "flags": 1,
                    "operationName": "reviews:9080/*",
                    "references": [],
                    "startTime": start // 1000,
                    "duration": 5000,
                    "tags": [
                        {"key": "http.status_code", "type": "int64", "value": 503},
                        {"key": "span.kind", "type": "string", "value": "server"},
                        {"key": "error", "type": "bool", "value": True},
                        {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                        {"key": "otel.status_description", "type": "string", "value": "broken"},
                    ],
                    "logs": [],
                    "processID": "p1",
                    "warnings": None,
                }
            ],
            "processes": {"p1": {"serviceName": "productpage.default", "tags": []}},
            "warnings": None,
        }
    ]
    assert (await running.ask(f"/api/traces/{build.TRACE}"))[1]["data"] == answer["data"]
    assert await running.ask(f"/api/v3/traces/{build.TRACE}") == (
        200,
        {
            "result": {
                "resourceSpans": [
                    {
                        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "productpage.default"}}]},
                        "scopeSpans": [
                            {
                                "scope": {},
                                "spans": [
                                    {
                                        "traceId": build.TRACE,
                                        "spanId": "b7ad6b7169203331",
                                        "parentSpanId": "",
                                        "name": "reviews:9080/*",
                                        "kind": 2,
                                        "startTimeUnixNano": str(start),
                                        "endTimeUnixNano": str(start + 5_000_000),
                                        "attributes": [{"key": "http.status_code", "value": {"intValue": "503"}}],
                                        "status": {"code": 2, "message": "broken"},
                                    }
                                ],
                            }
                        ],
                    }
                ]
            }
        },
    )
    assert await running.ask("/api/v3/operations", service="productpage.default") == (200, {"operations": [{"name": "reviews:9080/*", "spanKind": "server"}]})
    status, listed = await running.ask("/api/v3/trace-summaries", **{"query.service_name": "productpage.default"})
    assert [(one["traceId"], one["spanCount"], one["errorSpanCount"]) for one in listed["summaries"]] == [(build.TRACE, 1, 1)]


async def test_otlp_over_http_in_protobuf_json_and_compressed(running: Running) -> None:
    """Each form is taken; what cannot be read is 400, another type 415."""
    port = running.settings.otlp_http_port
    body = build.request(start=time.time_ns()).SerializeToString()
    assert await running.post(port, "/v1/traces", body, "application/x-protobuf") == (200, b"")
    packed = gzip.compress(build.request(span_id="00000000000000aa", start=time.time_ns()).SerializeToString())
    assert await running.post(port, "/v1/traces", packed, "application/x-protobuf", **{"content-encoding": "gzip"}) == (200, b"")
    assert (await running.post(port, "/v1/traces", b"{}", "application/json"))[0] == 200
    assert (await running.post(port, "/v1/traces", body[:-3], "application/x-protobuf"))[0] == 400
    assert (await running.post(port, "/v1/traces", body, "text/plain"))[0] == 415
    assert (await running.post(port, "/v1/traces", b"x" * 9_000_000, "application/x-protobuf"))[0] == 413
    await running.settled()
    _status, answer = await running.ask(f"/api/traces/{build.TRACE}")
    assert sorted(span["spanID"] for span in answer["data"][0]["spans"]) == ["00000000000000aa", "b7ad6b7169203331"]


async def test_zipkin_and_the_dependencies(running: Running) -> None:
    """Client and server of one call make an edge between their services."""
    now = time.time_ns() // 1000
    call = {"traceId": "a" * 32, "id": "1" * 16, "kind": "CLIENT", "name": "call", "timestamp": now, "duration": 10, "localEndpoint": {"serviceName": "a"}}
    served = {**call, "id": "2" * 16, "parentId": "1" * 16, "kind": "SERVER", "localEndpoint": {"serviceName": "b"}}
    assert await running.post(running.settings.zipkin_port, "/api/v2/spans", json.dumps([call, served]).encode(), "application/json") == (202, b"")
    assert (await running.post(running.settings.zipkin_port, "/api/v2/spans", b"{}", "application/json"))[0] == 400
    assert (await running.post(running.settings.zipkin_port, "/api/v1/spans", b"[]", "application/json"))[0] == 410
    await running.settled()
    status, answer = await running.ask("/api/dependencies", endTs=str(now // 1000 + 1000), lookback="60000")
    assert (status, answer["data"]) == (200, [{"parent": "a", "child": "b", "callCount": 1}])


async def test_mistakes_are_answered_in_the_form_of_the_api(running: Running) -> None:
    """A question that makes no sense is 400, a trace that is not there 404."""
    assert await running.ask("/api/traces") == (
        400,
        {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": 400, "msg": "parameter 'service' is required"}]},
    )
    assert (await running.ask("/api/traces/zz"))[0] == 400
    assert (await running.ask("/api/traces/" + "f" * 32))[1]["errors"] == [{"code": 404, "msg": "trace not found"}]
    assert await running.ask("/api/v3/traces", **{"query.service_name": "nobody"}) == (404, {"error": {"httpCode": 404, "message": "No traces found"}})
    assert (await running.ask("/api/v3/traces"))[0] == 400


async def test_health_tells_of_trouble_without_being_ill(running: Running) -> None:
    """`/` keeps the process alive; `/ready` and its text say what is wrong."""
    base = f"http://127.0.0.1:{running.settings.admin_port}"
    running.intake.trouble = "database or disk is full"
    async with running.session.get(base + "/") as answer:
        assert (answer.status, (await answer.json())["trouble"]) == (200, "database or disk is full")
    async with running.session.get(base + "/ready") as answer:
        assert answer.status == 503
    running.intake.trouble = ""
    async with running.session.get(base + "/ready") as answer:
        assert answer.status == 200
    async with running.session.get(base + "/metrics") as answer:
        assert "jaeger_collector_spans_received_total" in await answer.text()
