"""The receivers: OTLP over gRPC and HTTP, Zipkin over HTTP. What arrives is read, offered to the intake, and answered.

A sender hears of spans that made no sense (partial success), and gets a plain refusal for a body that cannot be read. It
is never made to wait: when the intake is full, spans are dropped and the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from aiohttp import web

from varka.telemetry.traces import metrics, otlp, zipkin
from varka.telemetry.traces.intake import Intake
from varka.telemetry.traces.otlp_messages import ExportTraceServiceResponse
from varka.telemetry.traces.settings import Settings
from varka.telemetry.traces.spans import Span

MAX_BODY = 8 * 1024 * 1024
"""Largest request in bytes, unpacked."""
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

Reader = Callable[[bytes], tuple[list[Span], int]]


class Collector:
    """All receivers of one process."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings
        self._grpc = grpc.aio.server(options=[("grpc.max_receive_message_length", MAX_BODY), ("grpc.so_reuseport", 0)])
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Listen on all ports; OSError or RuntimeError when one is taken."""
        self._grpc.add_generic_rpc_handlers((_Service(self._take),))
        self._grpc.add_insecure_port(f"{self._settings.bind}:{self._settings.otlp_grpc_port}")
        await self._grpc.start()
        over_http = web.Application(client_max_size=MAX_BODY)
        over_http.router.add_post("/v1/traces", self._otlp)
        from_zipkin = web.Application(client_max_size=MAX_BODY)
        from_zipkin.router.add_post("/api/v2/spans", self._zipkin)
        from_zipkin.router.add_post("/api/v1/spans", self._zipkin_v1)
        for app, port in ((over_http, self._settings.otlp_http_port), (from_zipkin, self._settings.zipkin_port)):
            runner = web.AppRunner(app, access_log=None, handle_signals=False)
            self._runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, self._settings.bind, port).start()

    async def stop(self) -> None:
        await self._grpc.stop(grace=1.0)
        for runner in self._runners:
            await runner.cleanup()

    def _take(self, read: Reader, body: bytes, transport: str) -> int:
        """Read and offer a body; how many of its spans made no sense."""
        found, refused = read(body)
        metrics.RECEIVED.labels(transport).inc(len(found) + refused)
        if refused:
            metrics.REJECTED.labels(transport).inc(refused)
        self._intake.offer(found)
        return refused

    async def _otlp(self, request: web.Request) -> web.Response:
        as_json = request.content_type == "application/json"
        if not as_json and request.content_type != "application/x-protobuf":
            return web.Response(status=415, text="send application/x-protobuf or application/json\n")
        try:
            refused = self._take(otlp.from_json if as_json else otlp.from_protobuf, await request.read(), "otlp-http")
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        if as_json:
            return web.json_response({"partialSuccess": {"rejectedSpans": str(refused), "errorMessage": _COMPLAINT}} if refused else {})
        return web.Response(body=_response(refused), content_type="application/x-protobuf")

    async def _zipkin(self, request: web.Request) -> web.Response:
        if request.content_type not in ("application/json", "application/octet-stream"):
            return web.Response(status=415, text="send Zipkin's JSON of version 2 (Envoy: collector_endpoint_version HTTP_JSON)\n")
        try:
            self._take(zipkin.from_json, await request.read(), "zipkin")
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.Response(status=202)

    async def _zipkin_v1(self, _: web.Request) -> web.Response:
        return web.Response(status=410, text="Zipkin's API v1 is not served; send spans to /api/v2/spans\n")


_COMPLAINT = "spans without a valid trace id and span id"


def _response(refused: int) -> bytes:
    answer = ExportTraceServiceResponse()
    if refused:
        answer.partial_success.rejected_spans = refused
        answer.partial_success.error_message = _COMPLAINT
    return bytes(answer.SerializeToString())


class _Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """OTLP's one method, on bytes: a body that is no message gets INVALID_ARGUMENT instead of an internal error."""

    def __init__(self, take: Callable[[Reader, bytes, str], int]) -> None:
        self._take = take

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(self._export) if handler_call_details.method == _EXPORT else None

    async def _export(self, body: bytes, context: grpc.aio.ServicerContext) -> bytes:
        try:
            return _response(self._take(otlp.from_protobuf, body, "otlp-grpc"))
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise
