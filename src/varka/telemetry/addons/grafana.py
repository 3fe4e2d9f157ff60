"""`python -m varka.telemetry.addons.grafana`: our dashboards through Grafana's HTTP API, on port 3000.

Health, search, dashboards by uid and data sources are answered as Grafana does, and queries are passed on to the data
source that its provisioning file names, so that a program that reads dashboards can also fill them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from varka.base import logs
from varka.base.errors import VarkaError
from varka.telemetry.addons import serving
from varka.telemetry.dashboards import grafana_json

PORT = 3000
VERSION = "12.0.1"
"""The version of Grafana whose answers these are."""
_QUERIES = {"query", "query_range", "labels", "series", "label/{name}/values"}
_HELLO = """Varka's dashboards, through Grafana's HTTP API.

  /api/health
  /api/search
  /api/dashboards/uid/UID
  /api/datasources
  /api/datasources/proxy/uid/UID/api/v1/query?query=up

A Grafana of your own imports each dashboard's JSON.
"""


class Source:
    """A Prometheus that panels ask."""

    def __init__(self, name: str, url: str, default: bool) -> None:
        self.uid = name.lower()
        self.name = name
        self.url = url.rstrip("/")
        self.default = default

    def shown(self, number: int) -> dict[str, Any]:
        """As `/api/datasources` lists it."""
        return {
            "id": number,
            "uid": self.uid,
            "orgId": 1,
            "name": self.name,
            "type": "prometheus",
            "access": "proxy",
            "url": self.url,
            "isDefault": self.default,
            "readOnly": True,
        }


def sources(environment: Mapping[str, str]) -> list[Source]:
    """The data sources of type prometheus in Grafana's provisioning files; one at `http://prometheus:9090` without any."""
    folder = Path(environment.get("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning")) / "datasources"
    found: list[Source] = []
    for file in sorted(folder.glob("*.y*ml")) if folder.is_dir() else ():
        try:
            listed = (yaml.safe_load(file.read_text()) or {}).get("datasources") or []
            found += [Source(str(one["name"]), str(one["url"]), bool(one.get("isDefault"))) for one in listed if one.get("type") == "prometheus"]
        except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise VarkaError(f"{file} is no provisioning file: {error}", "see Grafana's documentation of provisioning data sources") from error
    return found or [Source("Prometheus", "http://prometheus:9090", True)]


def application(known: list[Source]) -> web.Application:
    """The HTTP API."""
    pages = {made.uid: grafana_json.dashboard(made) for made in grafana_json.ALL}
    app = web.Application()

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"database": "ok", "version": VERSION, "commit": "varka"})

    async def search(request: web.Request) -> web.Response:
        wanted = request.query.get("query", "").lower()
        listed = [(uid, page) for uid, page in pages.items() if wanted in page["title"].lower()]
        return web.json_response(
            [
                {"id": number, "uid": uid, "title": page["title"], "uri": f"db/{uid}", "url": f"/d/{uid}/{uid}", "type": "dash-db", "tags": page["tags"]}
                for number, (uid, page) in enumerate(listed, 1)
            ]
        )

    async def page(request: web.Request) -> web.Response:
        found = pages.get(request.match_info["uid"])
        if found is None:
            return web.json_response({"message": "Dashboard not found"}, status=404)
        return web.json_response({"meta": {"type": "db", "slug": found["uid"], "url": f"/d/{found['uid']}/{found['uid']}"}, "dashboard": found})

    async def datasources(_: web.Request) -> web.Response:
        return web.json_response([one.shown(number) for number, one in enumerate(known, 1)])

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text=_HELLO)

    app.router.add_get("/", hello)
    app.router.add_get("/api/health", health)
    app.router.add_get("/api/search", search)
    app.router.add_get("/api/dashboards/uid/{uid}", page)
    app.router.add_get("/api/datasources", datasources)
    for path in _QUERIES:
        for method in ("GET", "POST"):
            app.router.add_route(method, "/api/datasources/proxy/uid/{uid}/api/v1/" + path, _passing({one.uid: one for one in known}))
    return app


def _passing(known: Mapping[str, Source]) -> Any:
    """A query for a data source, passed on; only Prometheus' reading paths are routed here."""

    async def handle(request: web.Request) -> web.Response:
        source = known.get(request.match_info["uid"])
        if source is None:
            return web.json_response({"message": "Data source not found"}, status=404)
        path = request.path.split("/proxy/uid/", 1)[1].partition("/")[2]
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
                session.request(request.method, f"{source.url}/{path}", params=request.query, data=await request.read()) as answer,
            ):
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.json_response({"message": f"{source.url} does not answer: {error or type(error).__name__}"}, status=502)

    return handle


def main() -> int:
    """Run until SIGTERM; the exit code."""
    logs.setup(os.environ.get("LOG_LEVEL", "INFO"))
    try:
        asyncio.run(serving.until_stopped({PORT: application(sources(os.environ))}))
    except VarkaError as error:
        print(f"grafana: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
