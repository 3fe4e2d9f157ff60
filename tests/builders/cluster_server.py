"""A whole API server with everything plugged in, on a free port, and the real kubectl to drive it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from varka.base.clock import SystemClock
from varka.client.api import Gvr, Object
from varka.cluster.apiserver import plugins
from varka.cluster.apiserver.access import certificates
from varka.cluster.apiserver.server import ApiServer, ServerSettings

PODS, NODES = Gvr("", "v1", "pods"), Gvr("", "v1", "nodes")


class Cluster:
    """The running server; `run` runs kubectl as administrator, or with a token."""

    def __init__(self, server: ApiServer, parts: plugins.Plugins, pki: certificates.Pki, folder: Path) -> None:
        self.server = server
        self.api = server.api
        self.plugins = parts
        self._pki = pki
        self._folder = folder
        self._config = certificates.kubeconfig(pki, f"https://127.0.0.1:{server.port}")
        certificates.write_kubeconfig(folder / "admin.kubeconfig", self._config)
        beside = Path(sys.executable).parent / "kubectl"
        self._kubectl = str(beside) if beside.exists() else shutil.which("kubectl") or "kubectl"

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"https://127.0.0.1:{self.server.port}"

    async def run(self, *args: str, token: str = "", stdin: bytes | None = None) -> tuple[int | None, str, str]:
        """Exit code, output and error output of one kubectl command."""
        path = self._folder / "admin.kubeconfig"
        if token:
            path = self._folder / "token.kubeconfig"
            certificates.write_kubeconfig(path, {**self._config, "users": [{"name": "varka", "user": {"token": token}}]})
        pipe = asyncio.subprocess.PIPE
        command = (self._kubectl, f"--kubeconfig={path}", f"--cache-dir={self._folder / 'cache'}", *args)
        into = asyncio.subprocess.DEVNULL if stdin is None else pipe
        process = await asyncio.create_subprocess_exec(*command, stdin=into, stdout=pipe, stderr=pipe)
        async with asyncio.timeout(30):
            out, err = await process.communicate(stdin)
        return process.returncode, out.decode(errors="replace"), err.decode()

    async def running_pod(self, name: str = "web-1", **spec: Any) -> Object:
        """A pod of the namespace `default` that says it runs, on a node that is there."""
        if not (await self.api.list(NODES)).items:
            await self.api.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "varka"}})
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"nodeName": "varka", "containers": [{"name": "app", "image": "x"}], **spec},
        }
        pod = await self.api.create(PODS, body, "default")
        state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        container = {"name": "app", "ready": True, "restartCount": 0, "image": "x", "imageID": "", "state": state}
        status = {"phase": "Running", "podIP": "127.0.0.1", "containerStatuses": [container]}
        return await self.api.update(PODS, {**pod, "status": status}, subresource="status")


@asynccontextmanager
async def serving(folder: Path, runtime: Any = None) -> AsyncIterator[Cluster]:
    """The cluster for as long as the context lasts."""
    pki = certificates.ensure(folder / "pki", SystemClock().now())
    parts = plugins.Plugins(pki)
    settings = ServerSettings(store=folder / "store.db", tcp=("127.0.0.1", 0), tls=certificates.server_context(pki), needs_account=False)
    server = ApiServer(settings, parts.extensions, runtime=runtime)
    await server.start()
    try:
        await parts.start(server.core)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(parts.run())
            await server.listen()
            server.ready = True
            yield Cluster(server, parts, pki, folder)
            running.cancel()
    finally:
        await server.stop()
