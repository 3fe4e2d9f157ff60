"""`python -m varka.telemetry.addons.kiali -config FILE`: Kiali's read API for the service graph, on port 20001.

The graph comes from Prometheus, the namespaces from the Kubernetes API with the pod's own service account. An empty graph
carries its reasons (`emptyReasons`), which Kiali has no field for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from varka.base import durations, logs
from varka.base.errors import VarkaError
from varka.client import kubeconfig, resources
from varka.client.http import HttpApi
from varka.telemetry.addons import serving
from varka.telemetry.graph import collecting, kiali_json
from varka.telemetry.graph.building import Wish
from varka.telemetry.graph.prometheus import Prometheus, PrometheusError
from varka.telemetry.graph.topology import GraphType

VERSION = "v2.17.0"
"""The version of Kiali whose answers these are."""
MAX_SECONDS = 31 * 86400
_log = logging.getLogger("varka.kiali")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is read of Kiali's configuration file; its other settings are about pages."""

    port: int = 20001
    """`server.port`."""
    web_root: str = "/kiali"
    """`server.web_root`."""
    metrics_port: int = 9090
    """`server.observability.metrics.port`."""
    prometheus: str = "http://prometheus.istio-system:9090"
    """`external_services.prometheus.url`."""


def load(text: str) -> Settings:
    """The settings in a configuration file; VarkaError when it is none."""
    try:
        raw = yaml.safe_load(text) or {}
        server, services = raw.get("server") or {}, raw.get("external_services") or {}
        metrics = (server.get("observability") or {}).get("metrics") or {}
        root = "/" + str(server.get("web_root") or "/kiali").strip("/")
        return Settings(
            port=int(server.get("port") or 20001),
            web_root="" if root == "/" else root,
            metrics_port=int(metrics.get("port") or 9090),
            prometheus=str((services.get("prometheus") or {}).get("url") or "http://prometheus.istio-system:9090"),
        )
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise VarkaError(f"the configuration cannot be read: {error}", "it has the form of Kiali's config.yaml") from error


class Kiali:
    """The API; `api` is None where there is no cluster to ask for namespaces."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession, api: HttpApi | None) -> None:
        self._settings = settings
        self._prometheus = Prometheus(session, settings.prometheus)
        self._api = api
        self._graphs = 0
        self._seconds = 0.0

    def application(self) -> web.Application:
        """The routes under the web root."""
        app, root = web.Application(), self._settings.web_root
        app.router.add_get(f"{root}/healthz", self._health)
        for path in (f"{root}/api", f"{root}/api/", f"{root}/api/status"):
            app.router.add_get(path, self._status)
        app.router.add_get(f"{root}/api/auth/info", self._auth)
        app.router.add_get(f"{root}/api/namespaces", self._namespaces)
        app.router.add_get(f"{root}/api/namespaces/graph", self._graph)
        for path in dict.fromkeys((f"{root}/", root or "/")):
            app.router.add_get(path, self._hello)
        return app

    def metrics(self) -> web.Application:
        """Kiali's own metrics."""
        app = web.Application()
        app.router.add_get("/metrics", self._own_metrics)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="")

    async def _hello(self, _: web.Request) -> web.Response:
        root = self._settings.web_root
        return web.Response(
            text=f"Kiali's read API, answered by Varka: {root}/api/status, {root}/api/namespaces, {root}/api/namespaces/graph?namespaces=default\n"
        )

    async def _status(self, _: web.Request) -> web.Response:
        warnings = []
        try:
            await self._prometheus.query("vector(1)", time.time())
        except PrometheusError as error:
            warnings.append(f"prometheus does not answer at {self._settings.prometheus}: {error.message}")
        state = {"Kiali state": "running", "Kiali version": VERSION, "Kiali commit hash": "varka", "Mesh version": "Istio"}
        services = [{"name": "Prometheus", "url": self._settings.prometheus}]
        return web.json_response({"status": state, "externalServices": services, "warningMessages": warnings})

    async def _auth(self, _: web.Request) -> web.Response:
        return web.json_response({"strategy": "anonymous", "sessionInfo": {"username": "anonymous"}})

    async def _namespaces(self, _: web.Request) -> web.Response:
        if self._api is None:
            return web.json_response({"error": "no Kubernetes API is known here"}, status=503)
        try:
            found = (await self._api.list(resources.NAMESPACES)).items
        except VarkaError as error:
            return web.json_response({"error": str(error)}, status=503)
        meta = sorted((one["metadata"] for one in found), key=lambda one: str(one["name"]))
        return web.json_response([{"name": one["name"], "cluster": "Kubernetes", "labels": one.get("labels") or {}} for one in meta])

    async def _graph(self, request: web.Request) -> web.Response:
        try:
            wish, boxes = wish_of(dict(request.query), time.time())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        began = time.monotonic()
        made = await collecting.collect(self._prometheus, wish, where=self._settings.prometheus)
        self._graphs += 1
        self._seconds += time.monotonic() - began
        return web.json_response(kiali_json.graph(made, boxes))

    async def _own_metrics(self, _: web.Request) -> web.Response:
        lines = [
            "# TYPE kiali_graph_generation_duration_seconds summary",
            f"kiali_graph_generation_duration_seconds_count {self._graphs}",
            f"kiali_graph_generation_duration_seconds_sum {self._seconds:.6f}",
        ]
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


def wish_of(query: dict[str, str], now: float) -> tuple[Wish, tuple[str, ...]]:
    """The graph that Kiali's query parameters ask for, and its boxes; ValueError names what cannot be read."""
    kind = query.get("graphType", "workload")
    if kind not in set(GraphType):
        raise ValueError(f"graphType {kind!r} is none of {', '.join(GraphType)}")
    try:
        seconds = int(durations.seconds(query.get("duration", "10m")))
    except ValueError as error:
        raise ValueError(f"duration: {error}") from error
    if not 1 <= seconds <= MAX_SECONDS:
        raise ValueError(f"duration must be between 1s and {MAX_SECONDS}s")
    moment = query.get("queryTime", "")
    if moment and not moment.isdecimal():
        raise ValueError(f"queryTime {moment[:40]!r} is no number of seconds")
    boxes = tuple(filter(None, query.get("boxBy", "").split(",")))
    if wrong := [one for one in boxes if one not in kiali_json.BOXES]:
        raise ValueError(f"boxBy {wrong[0]!r} is none of {', '.join(kiali_json.BOXES)}")
    wish = Wish(
        type=GraphType(kind),
        namespaces=tuple(sorted(filter(None, query.get("namespaces", "").split(",")))),
        seconds=seconds,
        time=float(moment or now),
        inject_services=query.get("injectServiceNodes", "false") == "true",
        idle_edges=query.get("includeIdleEdges", "false") == "true",
        idle_nodes="idleNode" in query.get("appenders", "idleNode"),
    )
    return wish, boxes


async def serve(settings: Settings) -> None:
    """Serve until a signal comes."""
    api: HttpApi | None = None
    try:
        api = HttpApi(kubeconfig.load().connection, user_agent="kiali")
    except VarkaError as error:
        _log.warning("namespaces cannot be listed: %s", error)
    try:
        async with aiohttp.ClientSession() as session:
            kiali = Kiali(settings, session, api)
            await serving.until_stopped({settings.port: kiali.application(), settings.metrics_port: kiali.metrics()})
    finally:
        if api is not None:
            await api.close()


def main(arguments: list[str]) -> int:
    """Run until SIGTERM; the exit code."""
    logs.setup(os.environ.get("LOG_LEVEL", "INFO"))
    try:
        settings = Settings()
        if arguments[:1] in (["-config"], ["--config"]) and len(arguments) == 2:
            settings = load(Path(arguments[1]).read_text())
        elif arguments:
            raise VarkaError(f"unknown arguments {' '.join(arguments)}", "known is -config FILE")
        asyncio.run(serve(settings))
    except (VarkaError, OSError) as error:
        print(f"kiali: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
