"""How long `istioctl analyze` takes for the configuration of a large mesh: 1,000 resources in one file, without a server."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from bench.clusters import Context, Failed
from bench.figures import Figure, median

SERVICES, ROUTES, RULES, POLICIES = 300, 200, 100, 100
ISTIOCTL = Path(sys.executable).parent / "istioctl"


def resources(context: Context) -> tuple[Figure, ...]:
    """The whole command, from the file to the text of its findings."""
    objects = _objects()
    with tempfile.TemporaryDirectory(prefix="varka-bench-") as folder:
        path = Path(folder) / "mesh.yaml"
        path.write_text(yaml.safe_dump_all(objects))
        times = [_once(path) for _ in range(3 if context.quick else 9)]
    name = f"analysis of {len(objects):,} resources"
    return (Figure(name=name, value=median(times), unit="s", budget=1, detail=f"median of {len(times)}, `istioctl analyze` with one file"),)


def _once(path: Path) -> float:
    started = time.monotonic()
    command = [str(ISTIOCTL), "analyze", "--use-kube=false", "-o", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    took = time.monotonic() - started
    missing = (ROUTES - RULES) * 2
    if done.returncode or len(json.loads(done.stdout)) != missing:
        raise Failed(f"the analysis should find the {missing} subsets that are missing: {done.stderr[-300:]}")
    return took


def _objects() -> list[dict[str, Any]]:
    """Services, a pod with a proxy for each, VirtualServices to subsets of which only the first have a DestinationRule, policies."""
    found = []
    for number in range(SERVICES):
        name = f"s{number}"
        labels = {"app": name, "version": "v1"}
        found.append(_object("v1", "Service", name, {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}))
        containers = [{"name": "app", "image": "app"}, {"name": "istio-proxy", "image": "proxy"}]
        found.append(_object("v1", "Pod", name, {"containers": containers}, labels=labels))
    for number in range(ROUTES):
        name = f"s{number}"
        way = {"route": [{"destination": {"host": name, "subset": "v1"}}]}
        rules = [{"match": [{"uri": {"prefix": "/a"}, "headers": {"end-user": {"exact": "jason"}}}], **way}, way]
        found.append(_object("networking.istio.io/v1", "VirtualService", name, {"hosts": [name], "http": rules}))
    for number in range(RULES):
        subsets = [{"name": "v1", "labels": {"version": "v1"}}]
        found.append(_object("networking.istio.io/v1", "DestinationRule", f"s{number}", {"host": f"s{number}", "subsets": subsets}))
    for number in range(POLICIES):
        source = {"source": {"principals": ["cluster.local/ns/default/sa/web"]}}
        rule = {"from": [source], "to": [{"operation": {"methods": ["GET"], "paths": ["/a*"]}}]}
        spec = {"selector": {"matchLabels": {"app": f"s{number}"}}, "rules": [rule]}
        found.append(_object("security.istio.io/v1", "AuthorizationPolicy", f"s{number}", spec))
    return found


def _object(version: str, kind: str, name: str, spec: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default", **meta}, "spec": spec}
