"""Whether Prometheus and the trace store work, when they are deployed: what `varka status` says of them.

A pod that is Ready may still keep nothing, for example on a full disk. So both are asked themselves, over a port-forward, and what they answer becomes a
problem with its mend. Requests never depend on either; that is said too, because it is the first thing one wants to know.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from varka.base.errors import VarkaError
from varka.cli.problems import Problem

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session
    from varka.client.http import HttpApi

NAMESPACE = "istio-system"
STALE_SECONDS = 120.0
"""Longer than the longest usual scrape interval."""
_PATIENCE = 4.0
_UNAFFECTED = "requests are not affected"
_SERVICES = {"prometheus": "prometheus", "tracing": "the trace store"}
_LOST = {"prometheus": "metrics are not collected and `varka graph` has nothing to show", "tracing": "spans are dropped"}


async def ask(api: HttpApi, services: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """What is wrong with the add-ons whose services exist."""
    from varka.cli.istioctl.main import Globals
    from varka.cli.istioctl.session import Session

    flags = Globals(kubeconfig="", context="", namespace=NAMESPACE, istio_namespace=NAMESPACE)
    session = Session(api, flags, NAMESPACE)
    all_pods = list(pods)
    asked = []
    for service in services:
        name = service["metadata"]["name"]
        if service["metadata"]["namespace"] == NAMESPACE and name in _SERVICES and (selector := (service.get("spec") or {}).get("selector")):
            asked.append(_ask_one(session, name, selector, _running(selector, all_pods)))
    return [problem for found in await asyncio.gather(*asked) for problem in found]


def _running(selector: Mapping[str, str], pods: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    for pod in pods:
        meta = pod["metadata"]
        chosen = meta["namespace"] == NAMESPACE and selector.items() <= (meta.get("labels") or {}).items()
        if chosen and pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in meta:
            return pod
    return None


async def _ask_one(session: Session, name: str, selector: Mapping[str, str], pod: Mapping[str, Any] | None) -> list[Problem]:
    if pod is None:
        return [absent(name, selector)]
    pod_name = pod["metadata"]["name"]
    path, port = ("/-/ready", 9090) if name == "prometheus" else ("/ready", 14269)
    try:
        async with asyncio.timeout(_PATIENCE):
            await session.pod_get(NAMESPACE, pod_name, port, path)
            if name != "prometheus":
                return []
            newest = await session.pod_get(NAMESPACE, pod_name, port, "/api/v1/query?query=max(timestamp(up))")
    except (VarkaError, OSError, TimeoutError) as error:
        return [unready(name, pod_name, str(error) or f"no answer within {_PATIENCE:.0f} s")]
    now = time.time()
    return of_prometheus(pod_name, now, _number(newest), _age(pod, now))


def absent(name: str, selector: Mapping[str, str]) -> Problem:
    """Its service is there, but no pod of it runs."""
    chosen = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return Problem(
        what=f"{_SERVICES[name]} does not run: {_LOST[name]}; {_UNAFFECTED}",
        mend=f"kubectl get deployment,pod -n {NAMESPACE} -l {chosen} tells why; kubectl scale brings back one that is scaled to nought",
    )


def unready(name: str, pod: str, error: str) -> Problem:
    """It runs, but does not work; `error` is its own answer, in which JSON may say what the trouble is."""
    reason = _trouble(error)
    mend = f"kubectl logs -n {NAMESPACE} {pod} tells more"
    if "full" in reason or "No space" in reason or "no space" in reason:
        mend = "make room on its volume or let it keep less; it goes on by itself"
    return Problem(what=f"{_SERVICES[name]} is not ready ({reason}): {_LOST[name]}; {_UNAFFECTED}", mend=mend)


def _trouble(error: str) -> str:
    _, brace, rest = error.partition("{")
    try:
        return str(json.loads(brace + rest)["trouble"])
    except (ValueError, KeyError, TypeError):
        return error


def of_prometheus(pod: str, now: float, newest: float | None, age: float) -> list[Problem]:
    """Prometheus answers, but keeps nothing: its newest sample is old, or it has none although its container runs for `age` seconds."""
    if age < -STALE_SECONDS and (newest is None or now - newest > STALE_SECONDS):
        return [
            Problem(
                what=f"the clock was turned back by at least {-age:.0f} s since prometheus began, which keeps no sample until then: "
                f"{_LOST['prometheus']}; {_UNAFFECTED}",
                mend=f"kubectl delete pod -n {NAMESPACE} {pod} lets it begin anew",
            )
        ]
    silent = min(age, age if newest is None else now - newest)
    if silent <= STALE_SECONDS:
        return []
    return [
        Problem(
            what=f"prometheus has kept no sample for {silent:.0f} s: `varka graph` and the dashboards show old numbers or none; {_UNAFFECTED}",
            mend=f"kubectl logs -n {NAMESPACE} {pod} tells why; after a full disk make room and delete the pod",
        )
    ]


def _number(body: bytes) -> float | None:
    try:
        return float(json.loads(body)["data"]["result"][0]["value"][1])
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def _age(pod: Mapping[str, Any], now: float) -> float:
    import datetime

    starts = [((one.get("state") or {}).get("running") or {}).get("startedAt") for one in pod["status"].get("containerStatuses", [])]
    moments = [datetime.datetime.fromisoformat(one).timestamp() for one in starts if one]
    return now - max(moments) if moments else 0.0
