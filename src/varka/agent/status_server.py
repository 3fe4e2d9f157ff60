"""The agent's HTTP server in the pod, on port 15020: readiness, application probes, merged metrics, and the request to quit.

Kubelet probes the application through here, because under STRICT mutual TLS its own plain request would be refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp import web

from varka.agent.envoy_admin import EnvoyAdmin, session
from varka.agent.issuance import Certificate
from varka.agent.netns import NetworkNamespace
from varka.agent.proxy_settings import ProxySettings
from varka.base.errors import VarkaError
from varka.envoy import bootstrap
from varka.envoy.observing import exposition

log = logging.getLogger("varka.agent.status")

READY_HOLD_SECONDS = 2.0
"""How long a readiness request waits for the proxy before it answers no: shorter than the probe's own timeout of 3 s."""
READY_POLL_SECONDS = 0.03
_HOP_HEADERS = {"host", "connection", "content-length"}


class StatusServer:
    """Serves one sidecar's port 15020."""

    def __init__(self, settings: ProxySettings, namespace: NetworkNamespace, admin: EnvoyAdmin, on_quit: Callable[[], Awaitable[None]]) -> None:
        self._settings = settings
        self._namespace = namespace
        self._admin = admin
        self._on_quit = on_quit
        self._probes = session(namespace)
        self._runner: web.AppRunner | None = None
        self.certificate: Certificate | None = None
        self.draining = False

    async def start(self) -> None:
        """Listen in the pod's namespace; OSError when the port is taken there."""
        app = web.Application()
        app.router.add_get("/healthz/ready", self._ready)
        app.router.add_get("/stats/prometheus", self._metrics)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get(bootstrap.METRICS_OF_ENVOY, self._metrics_of_envoy)
        app.router.add_get("/app-health/{container}/{probe}", self._app_health)
        app.router.add_get("/app-lifecycle/{container}/{hook}", self._app_health)
        app.router.add_post("/quitquitquit", self._quit)
        app.router.add_post("/drain", self._quit)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.SockSite(self._runner, self._namespace.listen("0.0.0.0", self._settings.status_port)).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self._probes.close()

    async def _ready(self, request: web.Request) -> web.Response:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_HOLD_SECONDS
        while True:
            reason = "the proxy is draining" if self.draining else await self._unready_reason()
            if not reason:
                return web.Response(text="")
            if self.draining or loop.time() > deadline:
                return web.Response(status=503, text=f"Envoy proxy is NOT ready: {reason}\n")
            await asyncio.sleep(READY_POLL_SECONDS)

    async def _unready_reason(self) -> str:
        return await self._admin.unready_reason() if self.certificate is not None else "no certificate from istiod yet"

    async def _quit(self, request: web.Request) -> web.Response:
        if request.remote not in {"127.0.0.1", "::1"}:
            return web.Response(status=403, text="only requests from the pod itself are allowed\n")
        await self._on_quit()
        return web.Response(text="OK")

    async def _metrics(self, request: web.Request) -> web.Response:
        parts = [own_metrics(self.certificate)]
        try:
            parts.append(exposition.istio(await self._admin.get("/stats/prometheus?usedonly")))
        except VarkaError as error:
            log.debug("no metrics of Envoy: %s", error)
        if self._settings.prometheus.get("scrape") == "true":
            parts.append(await self._application_metrics())
        return web.Response(text="".join(part if part.endswith("\n") or not part else part + "\n" for part in parts), content_type="text/plain")

    async def _metrics_of_envoy(self, request: web.Request) -> web.Response:
        """What port 15090 shows: Envoy's page of that name alone, under Istio's names."""
        try:
            text = await self._admin.get("/stats/prometheus" + (f"?{request.query_string}" if request.query_string else ""))
        except VarkaError as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(text=exposition.istio(text), content_type="text/plain")

    async def _application_metrics(self) -> str:
        where = self._settings.prometheus
        url = f"http://{self._settings.ip}:{where.get('port') or '80'}/{(where.get('path') or '/metrics').lstrip('/')}"
        try:
            async with self._probes.get(url) as response:
                return (await response.read()).decode(errors="replace") if response.status == 200 else ""
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.debug("no metrics of the application at %s: %s", url, error)
            return ""

    async def _app_health(self, request: web.Request) -> web.Response:
        probe = self._settings.app_probers.get(request.path)
        if probe is None:
            return web.Response(status=404, text=f"no probe is configured for {request.path}\n")
        limit = float(probe.get("timeoutSeconds") or 1)
        try:
            if "httpGet" in probe:
                async with asyncio.timeout(limit):
                    return await self._http_probe(probe["httpGet"], request.headers)
            if "tcpSocket" in probe:
                async with asyncio.timeout(limit):
                    await self._connect(int(probe["tcpSocket"]["port"]))
                return web.Response(text="")
            if "grpc" in probe:
                from varka.agent import grpc_health

                status = await grpc_health.check(self._namespace, self._settings.ip, int(probe["grpc"]["port"]), str(probe["grpc"].get("service") or ""), limit)
                return web.Response(status=200 if status == "SERVING" else 503, text=status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return web.Response(status=503, text=f"the application does not answer its probe: {error}\n")
        return web.Response(status=500, text="the probe is of a kind that is not known\n")

    async def _http_probe(self, action: Mapping[str, Any], headers: Mapping[str, str]) -> web.Response:
        scheme = str(action.get("scheme") or "HTTP").lower()
        url = f"{scheme}://{self._settings.ip}:{int(action['port'])}/{str(action.get('path') or '/').lstrip('/')}"
        sent = {name: value for name, value in headers.items() if name.lower() not in _HOP_HEADERS}
        sent |= {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
        async with self._probes.get(url, headers=sent, allow_redirects=False) as response:
            return web.Response(status=response.status, body=await response.content.read(10 << 10))

    async def _connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        with self._namespace.open() as connection:
            await loop.sock_connect(connection, (self._settings.ip, port))


def own_metrics(certificate: Certificate | None) -> str:
    """The agent's own samples: when the certificate in use expires, in seconds since the epoch."""
    if certificate is None:
        return ""
    moment = certificate.not_after.timestamp()
    return (
        "# HELP istio_agent_cert_expiry_seconds When the workload certificate expires, in seconds since the epoch.\n"
        "# TYPE istio_agent_cert_expiry_seconds gauge\n"
        f'istio_agent_cert_expiry_seconds{{resource_name="default"}} {moment}\n'
        "# HELP istio_cert_expiry_seconds When the workload certificate expires, in seconds since the epoch.\n"
        "# TYPE istio_cert_expiry_seconds gauge\n"
        f'istio_cert_expiry_seconds{{resource_name="default"}} {moment}\n'
    )
