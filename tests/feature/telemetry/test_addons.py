"""The add-ons' APIs over HTTP, with a Prometheus that is made up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.feature.telemetry import ports

from varka.base.errors import VarkaError
from varka.telemetry.addons import grafana, kiali

LABELS = {
    "reporter": "source",
    "source_workload": "web",
    "source_workload_namespace": "default",
    "destination_workload": "shop",
    "destination_workload_namespace": "default",
    "request_protocol": "http",
    "response_code": "200",
}


async def served(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def prometheus() -> AsyncIterator[str]:
    """Answers the question for requests with one series, all others with nothing."""

    async def query(request: web.Request) -> web.Response:
        asked = str((await request.post()).get("query") or request.query.get("query"))
        found = [{"metric": LABELS, "value": [1, "2.5"]}] if "istio_requests_total" in asked and "response_flags" in asked else []
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": found}})

    app = web.Application()
    app.router.add_route("*", "/api/v1/query", query)
    runner, url = await served(app)
    yield url
    await runner.cleanup()


async def get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def test_kiali_gives_the_graph(prometheus: str) -> None:
    """Health, status and graph, under the web root."""
    async with aiohttp.ClientSession() as session:
        made = kiali.Kiali(kiali.Settings(prometheus=prometheus), session, None)
        runner, url = await served(made.application())
        assert await get(f"{url}/kiali/healthz") == (200, "")
        status, answer = await get(f"{url}/kiali/api/status")
        assert (status, answer["status"]["Kiali state"], answer["warningMessages"]) == (200, "running", [])
        status, graph = await get(f"{url}/kiali/api/namespaces/graph?namespaces=default&duration=60s")
        assert [one["data"]["workload"] for one in graph["elements"]["nodes"]] == ["shop", "web"]
        assert graph["elements"]["edges"][0]["data"]["traffic"]["rates"] == {"http": "2.50", "httpPercentReq": "100.0"}
        status, wrong = await get(f"{url}/kiali/api/namespaces/graph?graphType=pie")
        assert (status, "graphType 'pie'" in wrong["error"]) == (400, True)
        assert (await get(f"{url}/kiali/api/namespaces"))[0] == 503
        await runner.cleanup()


async def test_kiali_without_prometheus_says_so() -> None:
    """An empty graph with its reason, and a warning in the status; the process is healthy."""
    (port,) = ports.free(1)
    async with aiohttp.ClientSession() as session:
        made = kiali.Kiali(kiali.Settings(prometheus=f"http://127.0.0.1:{port}"), session, None)
        runner, url = await served(made.application())
        _, graph = await get(f"{url}/kiali/api/namespaces/graph")
        assert graph["elements"] == {"nodes": [], "edges": []}
        assert graph["emptyReasons"][0].startswith(f"prometheus does not answer at http://127.0.0.1:{port}")
        _, answer = await get(f"{url}/kiali/api/status")
        assert len(answer["warningMessages"]) == 1
        assert (await get(f"{url}/kiali/healthz"))[0] == 200
        await runner.cleanup()


async def test_grafana_gives_dashboards_and_passes_queries_on(prometheus: str) -> None:
    """Health, search, a dashboard by its uid, data sources, and a query through one of them."""
    runner, url = await served(grafana.application([grafana.Source("Prometheus", prometheus, True)]))
    assert await get(f"{url}/api/health") == (200, {"database": "ok", "version": "12.0.1", "commit": "varka"})
    _, listed = await get(f"{url}/api/search")
    assert {one["title"] for one in listed} == {"Mesh", "Service", "Workload", "Control plane", "Performance"}
    for one in listed:
        status, page = await get(f"{url}/api/dashboards/uid/{one['uid']}")
        assert (status, page["dashboard"]["title"]) == (200, one["title"])
    assert (await get(f"{url}/api/dashboards/uid/none"))[0] == 404
    _, sources = await get(f"{url}/api/datasources")
    assert [(one["uid"], one["url"], one["isDefault"]) for one in sources] == [("prometheus", prometheus, True)]
    status, answer = await get(f"{url}/api/datasources/proxy/uid/prometheus/api/v1/query?query=up")
    assert (status, answer["status"]) == (200, "success")
    assert (await get(f"{url}/api/datasources/proxy/uid/prometheus/api/v1/admin/tsdb/delete_series"))[0] == 404
    await runner.cleanup()


def test_grafana_reads_its_provisioning_files(tmp_path: Path) -> None:
    """Data sources of other types are left out; a damaged file is told."""
    folder = tmp_path / "datasources"
    folder.mkdir()
    file = folder / "datasources.yaml"
    file.write_text("datasources: [{name: Loki, type: loki, url: x}, {name: P, type: prometheus, url: 'http://p:1/', isDefault: true}]")
    (source,) = grafana.sources({"GF_PATHS_PROVISIONING": str(tmp_path)})
    assert (source.uid, source.url, source.default) == ("p", "http://p:1", True)
    file.write_text("datasources: [3]")
    with pytest.raises(VarkaError, match="is no provisioning file"):
        grafana.sources({"GF_PATHS_PROVISIONING": str(tmp_path)})
    assert grafana.sources({"GF_PATHS_PROVISIONING": str(tmp_path / "none")})[0].url == "http://prometheus:9090"
