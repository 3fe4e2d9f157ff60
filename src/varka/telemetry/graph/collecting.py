"""Ask everything that a graph needs, side by side, and put it together."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from varka.telemetry.graph import building, queries, reasons
from varka.telemetry.graph.building import Answers, Sample, Wish
from varka.telemetry.graph.prometheus import Metrics, PrometheusError
from varka.telemetry.graph.topology import Graph


async def collect(metrics: Metrics, wish: Wish, *, where: str = "its address") -> Graph:
    """The graph for a wish; one without edges comes with the reasons, also when Prometheus cannot be asked."""
    scope = queries.Scope(namespaces=wish.namespaces, seconds=wish.seconds)
    questions = {
        "requests": queries.requests(scope),
        "security": queries.security(scope),
        "tcp": queries.tcp(scope),
        "request_bytes": queries.bytes_of("request", scope),
        "response_bytes": queries.bytes_of("response", scope),
        "proxies": queries.proxies(scope),
        **{str(quantile): queries.latency(quantile, scope) for quantile in queries.QUANTILES},
    }
    try:
        answered = await _ask(metrics, questions, wish.time)
        latencies = {quantile: answered.pop(str(quantile)) for quantile in queries.QUANTILES}
        answers = Answers(**answered, latencies=latencies)
        graph = building.build(answers, wish)
        if not graph.edges:
            graph = replace(graph, reasons=reasons.of(answers, await _findings(metrics, wish.time), wish))
    except PrometheusError as error:
        return Graph(type=wish.type, time=wish.time, seconds=wish.seconds, reasons=(reasons.away(where, error.message),))
    return graph


async def _ask(metrics: Metrics, questions: dict[str, str], time: float) -> dict[str, tuple[Sample, ...]]:
    found = await asyncio.gather(*(metrics.query(promql, time) for promql in questions.values()))
    return dict(zip(questions, found, strict=True))


async def _findings(metrics: Metrics, time: float) -> reasons.Findings:
    found = await _ask(metrics, {"any": queries.ANY_REQUESTS, "unlabelled": queries.UNLABELLED, "namespaces": queries.NAMESPACES}, time)
    return reasons.Findings(
        any_requests=int(sum(sample.value for sample in found["any"])),
        unlabelled=int(sum(sample.value for sample in found["unlabelled"])),
        namespaces=tuple(sorted(sample.labels.get("destination_workload_namespace", "") for sample in found["namespaces"])),
    )
