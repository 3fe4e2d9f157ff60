"""The API server as one thing to start and stop: store, core, extensions, and its sockets."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from varka.base.clock import Clock, SystemClock
from varka.base.errors import VarkaError
from varka.cluster.apiserver.core import Core
from varka.cluster.apiserver.local import LocalApi
from varka.cluster.apiserver.podruntime import PodRuntime
from varka.cluster.apiserver.request import Extensions
from varka.cluster.apiserver.rest.routes import Routes
from varka.cluster.store.store import Store

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server needs to know.

    `store` is the database's file. `socket` is a UNIX socket's path and `tcp` an address and port, each optional; with `tls`
    both speak HTTPS. `needs_account` says that pods must have a service account, which controllers make.
    """

    store: Path
    socket: Path | None = None
    tcp: tuple[str, int] | None = None
    tls: ssl.SSLContext | None = None
    needs_account: bool = True


class ApiServer:
    """`start`, then `api` answers in this process and the sockets answer outside; `stop` at the end."""

    def __init__(
        self, settings: ServerSettings, extensions: Extensions | None = None, *, clock: Clock | None = None, runtime: PodRuntime | None = None
    ) -> None:
        self._settings = settings
        self.store = Store(settings.store)
        self.core = Core(self.store, extensions or Extensions(), clock or SystemClock(), runtime)
        self.core.writes.preparation.needs_account = settings.needs_account
        self.ready = False
        """Whether `/readyz` answers ok; set it when everything around the server runs."""
        self.port = 0
        """The TCP port, known after `listen`."""
        self._runner: web.AppRunner | None = None

    @property
    def api(self) -> LocalApi:
        """The API in this process, as system:masters."""
        return LocalApi(self.core)

    async def start(self) -> None:
        """Open the store and make the first namespaces; afterwards `api` works."""
        await self.store.start()
        self.core.start()
        for name in NAMESPACES:
            await self._ensure_namespace(name)

    async def listen(self) -> None:
        """Open the sockets; VarkaError when one is taken."""
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", Routes(self.core, lambda: self.ready).handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        self._runner = runner
        await runner.setup()
        settings = self._settings
        try:
            if settings.socket is not None:
                settings.socket.unlink(missing_ok=True)
                await web.UnixSite(runner, str(settings.socket), ssl_context=settings.tls, backlog=1024).start()
                os.chmod(settings.socket, 0o600)
            if settings.tcp is not None:
                host, port = settings.tcp
                site = web.TCPSite(runner, host, port, ssl_context=settings.tls, backlog=1024)
                await site.start()
                server = site._server
                if isinstance(server, asyncio.Server):
                    self.port = server.sockets[0].getsockname()[1]
        except OSError as error:
            raise VarkaError(f"the API server cannot listen: {error}", "end what uses the address, or choose another port") from error

    async def stop(self) -> None:
        """Close the sockets, end watches, finish writes."""
        self.ready = False
        if self._runner is not None:
            await self._runner.cleanup()
        await self.core.stop()
        await self.store.close()

    async def _ensure_namespace(self, name: str) -> None:
        if self.store.get("namespaces", "", name) is None:
            from varka.client.api import Gvr

            await self.api.create(Gvr("", "v1", "namespaces"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


@asynccontextmanager
async def running(settings: ServerSettings, extensions: Extensions | None = None) -> AsyncIterator[ApiServer]:
    """A server that listens for as long as the context lasts, ready at once; for tests and small tools."""
    server = ApiServer(settings, extensions)
    await server.start()
    try:
        await server.listen()
        server.ready = True
        yield server
    finally:
        await server.stop()
