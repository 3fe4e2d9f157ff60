"""Istio's resources through a real API server with the control plane's webhook: verdicts, warnings, statuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.builders import mesh_server
from tests.builders.meshobjects import istio

from varka.client import resources
from varka.client.api import ApiError, Gvr
from varka.resources import kinds

CASES = Path(__file__).resolve().parents[4] / "shared" / "conformance"
VIRTUAL_SERVICES = Gvr("networking.istio.io", "v1", "virtualservices")
DESTINATION_RULES = Gvr("networking.istio.io", "v1", "destinationrules")
PLURALS = {kind.kind: kind.plural for kind in kinds.KINDS}


def _gvr(obj: dict[str, Any]) -> Gvr:
    group, _, version = obj["apiVersion"].partition("/")
    return Gvr(group, version, PLURALS[obj["kind"]])


async def _verdict(cluster: Any, obj: dict[str, Any]) -> str:
    """Empty when the server takes it, else what it says."""
    meta = obj.get("metadata") or {}
    named = {**obj, "metadata": {**meta, "name": meta.get("name") or "x", "namespace": meta.get("namespace") or "default"}}
    try:
        await cluster.api.create(_gvr(obj), named, named["metadata"]["namespace"], dry_run=True)
    except ApiError as error:
        assert error.code in (400, 413, 422), error
        return str(error) or "refused"
    return ""


@pytest.mark.conformance
@pytest.mark.skipif(not CASES.is_dir(), reason="the conformance cases are not there")
async def test_every_verdict_of_the_reference(tmp_path: Path) -> None:
    """What the control plane of reference takes is taken, what it refuses is refused, by the schema or by the webhook."""
    wrong: list[str] = []
    async with mesh_server.serving(tmp_path) as cluster:
        spaces: set[str] = {"default", "istio-system"}
        for path in sorted((CASES / "validation").glob("*.yaml")):
            for case in yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["cases"]:
                space = (case["resource"].get("metadata") or {}).get("namespace") or "default"
                if space not in spaces:
                    spaces.add(space)
                    await cluster.api.create(resources.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
                said = await _verdict(cluster, case["resource"])
                if bool(said) == case["expect"]["valid"]:
                    wrong.append(f"{path.stem}: {case['name']}: {said or 'taken'}"[:300])
    assert wrong == []


async def test_refusal_and_warning_reach_kubectl(tmp_path: Path) -> None:
    """kubectl shows which field is wrong and what is allowed, and warnings as warnings."""
    rule = {"route": [{"destination": {"host": "web"}}]}
    bad = istio("VirtualService", "bad", {"hosts": ["web"], "http": [{**rule, "fault": {"abort": {"httpStatus": 700}}}]})
    odd = istio("VirtualService", "odd", {"hosts": ["web"], "http": [rule, rule]})
    async with mesh_server.serving(tmp_path) as cluster:
        code, _, err = await cluster.run("apply", "-f", "-", stdin=yaml.safe_dump(bad).encode())
        assert code == 1
        assert "spec.http[0].fault.abort.httpStatus: HTTP status 700 is not in range 200-599" in err
        code, out, err = await cluster.run("apply", "-f", "-", stdin=yaml.safe_dump(odd).encode())
        assert (code, out) == (0, "virtualservice.networking.istio.io/odd created\n")
        assert err == "Warning: spec.http[1]: virtualService rule #1 not used (only the last rule can have no matches)\n"


async def test_status_tells_of_references_and_of_fields_without_effect(tmp_path: Path) -> None:
    """`kubectl describe` shows what a resource refers to in vain, until it is there."""
    route = istio("VirtualService", "v", {"hosts": ["web"], "gateways": ["gw"], "http": [{"route": [{"destination": {"host": "web", "subset": "v1"}}]}]})
    async with mesh_server.serving(tmp_path) as cluster:
        await cluster.api.create(VIRTUAL_SERVICES, route, "default")
        status = await mesh_server.status_of(cluster, VIRTUAL_SERVICES, "v", "ResolvedRefs", "PassedAnalysis")
        assert status["observedGeneration"] == 1
        found = {one["type"]["code"]: one["level"] for one in status["validationMessages"]}
        assert found == {"IST0101": "ERROR", "IST0132": "WARNING"}
        code, out, _ = await cluster.run("describe", "vs", "v")
        assert code == 0
        assert "referenced gateway not found: 'default/gw'" in out and "referenced host not found: 'web.default.svc.cluster.local'" in out
        spec = {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
        await cluster.api.create(resources.SERVICES, service, "default")
        stored = await cluster.api.get(VIRTUAL_SERVICES, "v", "default")
        await cluster.api.update(VIRTUAL_SERVICES, {**stored, "spec": spec})
        async with asyncio.timeout(30):
            while (await cluster.api.get(VIRTUAL_SERVICES, "v", "default"))["status"]["conditions"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (await cluster.api.get(VIRTUAL_SERVICES, "v", "default"))["status"]["validationMessages"] == []
