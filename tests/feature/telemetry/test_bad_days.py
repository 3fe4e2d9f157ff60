"""Data that nobody would send on a good day: many series, answers in pieces, any Unicode, spans of a megabyte, clocks that are wrong, a disk that is full."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import web
from tests.builders import otlp as build
from tests.feature.telemetry import ports

from varka.telemetry.graph import collecting
from varka.telemetry.graph.building import Wish
from varka.telemetry.graph.prometheus import Prometheus, PrometheusError
from varka.telemetry.graph.topology import GraphType

SERIES = 50_000
ODD = 'späť 🕸 "quoted" \\back\n\u202eright-to-left\u0000'
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def series(number: int, workload: str = "") -> dict[str, object]:
    """One series of Prometheus' answer between two of many workloads."""
    labels = {
        "reporter": "source",
        "request_protocol": "http",
        "response_code": "200",
        "response_flags": "-",
        "source_workload": f"web-{number}",
        "source_workload_namespace": "default",
        "destination_workload": workload or "shop",
        "destination_workload_namespace": "default",
        "destination_service_name": "shop",
        "destination_service_namespace": "default",
    }
    return {"metric": labels, "value": [1.0, "2"]}


class Answering:
    """A Prometheus with one answer for every question about requests."""

    def __init__(self, result: list[dict[str, object]]) -> None:
        self._body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
        self._empty = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
        self.cut = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        query = str((await request.post())["query"])
        body = self._body if "istio_requests_total" in query and "response_flags" in query else self._empty
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        for start in range(0, len(body) // 2 if self.cut else len(body), 1 << 16):
            await response.write(body[start : start + (1 << 16)])
        return response


async def served(answering: Answering) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/api/v1/query", answering.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = ports.free(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_a_graph_of_fifty_thousand_series() -> None:
    """The answer comes in many pieces; every series is an edge, and the rates are added up."""
    async for url in served(Answering([series(number) for number in range(SERIES)])):
        async with aiohttp.ClientSession() as session:
            made = await collecting.collect(Prometheus(session, url), Wish(type=GraphType.WORKLOAD, time=1000.0))
    assert len(made.edges) == SERIES
    assert sum(edge.rate for edge in made.edges) == 2.0 * SERIES


async def test_names_may_have_any_unicode() -> None:
    """Names come through as they are."""
    async for url in served(Answering([series(1, ODD)])):
        async with aiohttp.ClientSession() as session:
            made = await collecting.collect(Prometheus(session, url), Wish(type=GraphType.WORKLOAD, time=1000.0))
    assert [(edge.source.name, edge.target.workload) for edge in made.edges] == [("web-1", ODD)]


async def test_an_answer_that_is_cut_off_is_a_reason_not_a_crash() -> None:
    """Prometheus may die while it answers."""
    answering = Answering([series(number) for number in range(2000)])
    answering.cut = True
    async for url in served(answering):
        async with aiohttp.ClientSession() as session:
            with pytest.raises(PrometheusError):
                await Prometheus(session, url).query("istio_requests_total response_flags", 1.0)
            made = await collecting.collect(Prometheus(session, url), Wish(type=GraphType.WORKLOAD, time=1000.0), where="p")
    assert made.edges == ()
    assert made.reasons[0].startswith("prometheus does not answer at p (answer 200 is not that of a Prometheus")


class TraceStore:
    """The trace store as a process of its own; its files may have at most `most` bytes, until `make_room`."""

    def __init__(self, folder: Path, most: int) -> None:
        self.query, self.admin, self.otlp, otlp_http, zipkin = ports.free(5)
        chosen = f"query_port={self.query}, admin_port={self.admin}, otlp_grpc_port={self.otlp}, otlp_http_port={otlp_http}, zipkin_port={zipkin}"
        code = (
            "import asyncio, pathlib, resource, signal\n"
            "from varka.telemetry.traces import __main__ as program\n"
            "from varka.telemetry.traces.settings import Settings\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, resource.RLIM_INFINITY))\n"
            f"asyncio.run(program.serve(Settings(bind='127.0.0.1', folder=pathlib.Path({str(folder)!r}), {chosen})))\n"
        )
        self.process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)

    def make_room(self) -> None:
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    async def export(self, body: bytes) -> grpc.StatusCode:
        """What a sender hears."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.otlp}") as channel:
            try:
                await channel.unary_unary(_EXPORT)(body, timeout=20, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    async def ask(self, session: aiohttp.ClientSession, port: int, path: str) -> tuple[int, Any]:
        async with session.get(f"http://127.0.0.1:{port}{path}", timeout=aiohttp.ClientTimeout(total=10)) as answer:
            return answer.status, await answer.json()

    async def until(self, session: aiohttp.ClientSession, status: int, sent: Callable[[int], bytes]) -> Any:
        """Send until `/ready` answers so; its answer."""
        async with asyncio.timeout(40):
            number = 0
            while True:
                number += 1
                assert await self.export(sent(number)) is grpc.StatusCode.OK
                found, answer = await self.ask(session, self.admin, "/ready")
                if found == status:
                    return answer
                await asyncio.sleep(0.2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    made = TraceStore(tmp_path, 600_000)
    try:
        yield made
    finally:
        made.process.terminate()
        assert made.process.wait(20) == 0


async def test_a_disk_that_is_full_costs_spans_until_there_is_room(store: TraceStore) -> None:
    """Senders are answered all the while, readiness tells the trouble, the process lives, and with room again it keeps what comes."""

    def large(number: int) -> bytes:
        made = build.request(span_id=f"{number:016x}", start=time.time_ns(), tags={f"k{index}": "x" * 30_000 for index in range(5)})
        return bytes(made.SerializeToString())

    def marked(number: int) -> bytes:
        return bytes(build.request(span_id=f"{number:016x}", trace="ab" * 16, start=time.time_ns()).SerializeToString())

    async with aiohttp.ClientSession() as session:
        assert (await store.until(session, 503, large))["trouble"]
        assert (await store.ask(session, store.admin, "/"))[0] == 200
        store.make_room()
        assert (await store.until(session, 200, marked))["trouble"] == ""
        status, answer = await store.ask(session, store.query, "/api/traces/" + "ab" * 16)
        assert status == 200
        assert {span["operationName"] for span in answer["data"][0]["spans"]} == {"reviews:9080/*"}


async def test_odd_spans_neither_stop_the_store_nor_cost_their_neighbours(store: TraceStore) -> None:
    """Cut-off bodies are refused; spans of a megabyte, of any time and with any text are kept, and found."""
    store.make_room()
    now, tag = time.time_ns(), ODD.replace("\0", "")
    whole = build.request(start=now).SerializeToString()
    for end in range(1, len(whole), 7):
        assert await store.export(whole[:end]) in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)
    assert await store.export(whole[:-3]) is grpc.StatusCode.INVALID_ARGUMENT
    spans = {"1": {"start": 0}, "2": {"start": 2**63}, "3": {"start": now, "end": now - 10**9}, "4": {"start": now, "tags": {tag: tag, "big": "ü" * 500_000}}}
    for span_id, fields in spans.items():
        made = build.request(name=tag, span_id=span_id * 16, trace="cd" * 16, **fields)
        assert await store.export(bytes(made.SerializeToString())) is grpc.StatusCode.OK

    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(20):
            kept: dict[str, Any] = {}
            while len(kept) < 3:
                await asyncio.sleep(0.1)
                found, answer = await store.ask(session, store.query, "/api/traces/" + "cd" * 16)
                kept = {span["spanID"][0]: span for span in answer["data"][0]["spans"]} if found == 200 else {}
        assert {"2", "3", "4"} <= set(kept)
        assert {span["operationName"] for span in kept.values()} == {tag}
        assert (kept["3"]["startTime"], kept["3"]["duration"]) == (now // 1000, 0)
        tags = {one["key"]: one["value"] for one in kept["4"]["tags"]}
        assert tags[tag] == tag
        assert tags["big"].endswith("… (cut)")
        assert (await store.ask(session, store.admin, "/ready"))[0] == 200
