"""Port 15014. Metrics, version and readiness for everyone; what the mesh looks like only for callers on loopback.

`istioctl` arrives through a port-forward, which ends on the pod's loopback and for which the API server has already
asked who is calling. A request from another pod is answered 403.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from varka.control import metrics

_LOOPBACK = {"127.0.0.1", "::1"}


class Subject(Protocol):
    """What is looked at."""

    def ready(self) -> bool: ...

    def sync_status(self) -> list[dict[str, Any]]: ...

    def config_dump(self, proxy: str) -> dict[str, Any] | None: ...

    def endpoints(self, proxy: str) -> list[dict[str, Any]]: ...

    def configuration(self) -> list[dict[str, Any]]: ...


class DebugServer:
    """Serves one port on one address."""

    def __init__(self, subject: Subject, version: Mapping[str, str]) -> None:
        self._subject = subject
        self._version = dict(version)
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/version", self._show_version)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/healthz/ready", self._ready)
        private: dict[str, Callable[[web.Request], web.Response]] = {
            "/debug/syncz": lambda _: _json(self._subject.sync_status()),
            "/debug/config_dump": self._config_dump,
            "/debug/endpointz": lambda request: _json(self._subject.endpoints(request.query.get("proxyID", ""))),
            "/debug/configz": lambda _: _json(self._subject.configuration()),
        }
        for path, answer in private.items():
            app.router.add_get(path, _guarded(answer))
        app.router.add_get("/debug", _guarded(lambda _: web.Response(text="\n".join(sorted(private)) + "\n")))
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=metrics.text(), content_type="text/plain")

    async def _show_version(self, _: web.Request) -> web.Response:
        return _json(self._version)

    async def _ready(self, _: web.Request) -> web.Response:
        if self._subject.ready():
            return web.Response(text="")
        return web.Response(status=503, text="not ready: the mesh's configuration has not been read yet\n")

    def _config_dump(self, request: web.Request) -> web.Response:
        proxy = request.query.get("proxyID", "")
        if not proxy:
            return web.Response(status=400, text="say which proxy: ?proxyID=<pod>.<namespace>\n")
        found = self._subject.config_dump(proxy)
        if found is None:
            return web.Response(status=404, text=f"no proxy {proxy} is connected to this control plane\n")
        return _json(found)


def _json(value: object) -> web.Response:
    return web.Response(text=json.dumps(value, indent=2, sort_keys=True) + "\n", content_type="application/json")


def _guarded(answer: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        if request.remote not in _LOOPBACK:
            return web.Response(status=403, text="only through `kubectl port-forward` or `istioctl`\n")
        return answer(request)

    return handle
