"""Why a graph is empty, and what to do: the question that every user of such a picture has asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from varka.telemetry.graph.building import Answers, Wish

AWAY = "prometheus does not answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What Prometheus knows beside the graph: counts of series, and the namespaces that requests went to."""

    any_requests: int = 0
    unlabelled: int = 0
    namespaces: tuple[str, ...] = ()


def away(where: str, error: str) -> str:
    """The reason when Prometheus cannot be asked."""
    return f"{AWAY} at {where} ({error}): deploy it with `kubectl apply -f samples/addons/prometheus.yaml`, or see why its pod is not ready"


def of(answers: Answers, findings: Findings, wish: Wish) -> tuple[str, ...]:
    """The reasons for a graph without edges, the most likely first."""
    found: list[str] = []
    if not answers.proxies and not findings.any_requests:
        found.append(
            "prometheus reads no proxy: no pod has a sidecar (label the namespace istio-injection=enabled and restart its pods), "
            "or prometheus was started less than a scrape interval ago"
        )
        return tuple(found)
    if not findings.any_requests:
        return ("the proxies have counted no request yet: send some, for example with `varka traffic`",)
    if findings.unlabelled and findings.unlabelled == findings.any_requests:
        return ("the requests are counted without source_workload and destination_workload: a Telemetry resource removes these labels",)
    if wish.namespaces and not _any_in(wish.namespaces, findings.namespaces):
        elsewhere = ", ".join(name for name in findings.namespaces if name not in ("", "unknown"))
        where = ", ".join(wish.namespaces)
        found.append(f"no request came from or went to namespace {where}" + (f"; there was traffic in: {elsewhere}" if elsewhere else ""))
    found.append(f"there was no traffic in the last {wish.seconds} s: send some, for example with `varka traffic`, or ask for a longer time")
    return tuple(found)


def _any_in(wanted: Sequence[str], known: Sequence[str]) -> bool:
    return any(name in known for name in wanted)
