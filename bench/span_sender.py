"""`python -m bench.span_sender PORT RATE SECONDS`: spans by OTLP over gRPC at a steady rate, as a proxy sends them.

Each has the tags of a request between two sidecars. Prints what was accepted and in which time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

import grpc

from varka.telemetry.traces.otlp_messages import ExportTraceServiceRequest

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
GROUP = 20
TAGS = {
    "http.method": "GET",
    "http.protocol": "HTTP/1.1",
    "http.status_code": "200",
    "http.url": "http://reviews:9080/reviews/0",
    "istio.canonical_revision": "v1",
    "istio.canonical_service": "reviews",
    "istio.mesh_id": "cluster.local",
    "istio.namespace": "default",
    "node_id": "sidecar~10.244.0.7~reviews-v1-7f8.default~default.svc.cluster.local",
    "peer.address": "10.244.0.5",
    "response_flags": "-",
    "upstream_cluster": "outbound|9080||reviews.default.svc.cluster.local",
    "user_agent": "curl/8",
}


def group() -> bytes:
    """One request with new ids."""
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "reviews.default"
    scope = resource.scope_spans.add()
    for _ in range(GROUP):
        now = time.time_ns()
        span = scope.spans.add(
            trace_id=os.urandom(16), span_id=os.urandom(8), name="reviews:9080/*", kind=2, start_time_unix_nano=now, end_time_unix_nano=now + 10**6
        )
        for key, value in TAGS.items():
            span.attributes.add(key=key).value.string_value = value
    return bytes(made.SerializeToString())


async def send(port: int, rate: float, seconds: float) -> dict[str, float]:
    """Spans accepted, and seconds from the first to the last answer."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        export = channel.unary_unary(METHOD)
        began = time.monotonic()
        total = int(rate * seconds) // GROUP
        waiting: set[asyncio.Task[bytes]] = set()
        for number in range(total):
            await asyncio.sleep(max(0.0, began + number * GROUP / rate - time.monotonic()))
            if len(waiting) >= 64:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            waiting.add(asyncio.ensure_future(export(group(), timeout=30)))
        await asyncio.gather(*waiting)
        return {"spans": total * GROUP, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(send(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))))
