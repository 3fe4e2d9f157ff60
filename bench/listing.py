"""`kubectl get pods` where there are a thousand of them. The pods are objects only: no scheduler takes them."""

from __future__ import annotations

import json

from bench.clusters import Context, timed
from bench.figures import Figure, median
from bench.start import BIN

PODS = 1000


def pod(number: int) -> dict[str, object]:
    """A pod that waits for a scheduler of another name."""
    spec = {"schedulerName": "none", "containers": [{"name": "app", "image": "busybox", "command": ["sleep", "infinity"]}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}", "namespace": "default"}, "spec": spec}


def pods(context: Context) -> tuple[Figure, ...]:
    """The real kubectl, with a warm discovery cache."""
    cluster = context.cluster("pods")
    cluster.varka("up")
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod(number) for number in range(PODS)]})
    cluster.kubectl("create", "-f", "-", "--validate=false", given=given)
    times = []
    for _ in range(6 if context.quick else 16):
        seconds, output = timed([str(BIN / "kubectl"), "get", "pods", "-n", "default"], cluster.environment)
        assert len(output.splitlines()) == PODS + 1
        times.append(seconds)
    context.down("pods")
    return (Figure(name=f"`kubectl get pods` on {PODS:,} pods", value=median(times[1:]), unit="s", budget=0.3, detail=f"median of {len(times) - 1}"),)
