"""Envoy's admin interface, reached from outside its network namespace."""

from __future__ import annotations

import re
import socket
from typing import Any

import aiohttp

from varka.agent.netns import NetworkNamespace
from varka.base.errors import VarkaError

_READY_STATS = "/stats?filter=^(cluster_manager.cds.update_success|listener_manager.lds.update_success|listener_manager.workers_started)$"
_CONNECTIONS = re.compile(r"^listener\.(?P<listener>.+)\.downstream_cx_active: (?P<count>\d+)$", re.MULTILINE)
_OWN_LISTENERS = ("admin", "0.0.0.0_15021", "0.0.0.0_15090")
_INBOUND = "0.0.0.0_15006"


class EnvoyAdmin:
    """Requests to one Envoy's loopback; every method raises VarkaError when Envoy does not answer."""

    def __init__(self, namespace: NetworkNamespace, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._session = session(namespace)

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str) -> str:
        return await self._request("GET", path)

    async def post(self, path: str) -> str:
        return await self._request("POST", path)

    async def _request(self, method: str, path: str) -> str:
        try:
            async with self._session.request(method, self._base + path) as response:
                text = await response.text(errors="replace")
                if response.status >= 400:
                    raise VarkaError(f"Envoy answered {response.status} to {method} {path}: {text.strip()}")
                return text
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VarkaError(f"Envoy does not answer on its admin port: {error}", "see the log of the container istio-proxy") from error

    async def unready_reason(self) -> str:
        """Why this Envoy cannot take traffic yet; empty when it can."""
        try:
            await self.get("/ready")
            stats = dict(line.rsplit(": ", 1) for line in (await self.get(_READY_STATS)).splitlines() if ": " in line)
        except VarkaError as error:
            return error.message
        missing = [name for name in ("cds", "lds") if not any(name in key and int(value) > 0 for key, value in stats.items() if value.isdigit())]
        if missing:
            return f"config not received from XDS server: no {' and no '.join(missing)} update yet"
        return "" if stats.get("listener_manager.workers_started") == "1" else "workers have not yet started"

    async def active_connections(self, *, inbound_only: bool) -> int:
        """Open downstream connections, those of Envoy's own interfaces left out."""
        text = await self.get("/stats?filter=downstream_cx_active$")
        counted = 0
        for found in _CONNECTIONS.finditer(text):
            listener = found["listener"]
            if listener.startswith(_OWN_LISTENERS) or "worker_" in listener or (inbound_only and listener != _INBOUND):
                continue
            counted += int(found["count"])
        return counted


def session(namespace: NetworkNamespace, seconds: float = 5.0) -> aiohttp.ClientSession:
    """A client whose connections start in `namespace`; certificates are not checked, as kubelet does not when it probes."""

    def make(address: Any) -> socket.socket:
        return namespace.open(address[0], address[1])

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=make, ssl=False, limit=32), timeout=aiohttp.ClientTimeout(total=seconds))
