"""The API server as one thing to start and stop: store, core, extensions, and its sockets."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket as Socket

from aiohttp import web

from varka.base.clock import Clock, SystemClock
from varka.base.errors import VarkaError
from varka.client.api import Api, ApiError, Gvr
from varka.cluster.apiserver.core import Core
from varka.cluster.apiserver.local import LocalApi
from varka.cluster.apiserver.podruntime import PodRuntime
from varka.cluster.apiserver.request import Extensions
from varka.cluster.apiserver.rest.routes import Routes
from varka.cluster.store.store import Store

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_MAX_LINE = 256 * 1024
"""Bytes of a request line or header: the command of `kubectl exec` is in the URL."""
_NAMESPACE = Gvr("", "v1", "namespaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server needs to know.

    `store` is the database's file. `socket` is a UNIX socket's path, `tcp` an address and port, `listeners` are sockets that
    listen already; each is optional, and with `tls` all of them speak HTTPS. `needs_account` says that pods must have a service
    account, which controllers make.
    """

    store: Path
    socket: Path | None = None
    tcp: tuple[str, int] | None = None
    listeners: tuple[Socket, ...] = ()
    tls: ssl.SSLContext | None = None
    needs_account: bool = True


class Listener:
    """A core's sockets: opened here, or inherited already listening from whoever outlives this process."""

    def __init__(self, core: Core, ready: Callable[[], bool] = lambda: True) -> None:
        self._routes = Routes(core, ready)
        self._runner: web.AppRunner | None = None
        self.port = 0
        """The port of the address given to `open_tcp`."""

    async def _started(self) -> web.AppRunner:
        if self._runner is None:
            application = web.Application(client_max_size=0)
            application.router.add_route("*", "/{path:.*}", self._routes.handle)
            self._runner = web.AppRunner(
                application, access_log=None, handler_cancellation=True, shutdown_timeout=0.5, max_line_size=_MAX_LINE, max_field_size=_MAX_LINE
            )
            await self._runner.setup()
        return self._runner

    async def inherit(self, listening: Socket, tls: ssl.SSLContext | None) -> None:
        """Answer on a socket that already listens."""
        await web.SockSite(await self._started(), listening, ssl_context=tls, backlog=1024).start()

    async def open_unix(self, path: Path, tls: ssl.SSLContext | None) -> None:
        """Answer on a UNIX socket, in place of what is left of an earlier one."""
        path.unlink(missing_ok=True)
        await web.UnixSite(await self._started(), str(path), ssl_context=tls, backlog=1024).start()
        os.chmod(path, 0o600)

    async def open_tcp(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Answer on an address; `port` 0 takes a free one."""
        site = web.TCPSite(await self._started(), host, port, ssl_context=tls, backlog=1024)
        await site.start()
        self.port = int(site._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]

    async def close(self) -> None:
        """Close the sockets and end watches."""
        if self._runner is not None:
            await self._runner.cleanup()


async def ensure_namespaces(api: Api) -> None:
    """Make the namespaces that every cluster begins with."""
    for name in NAMESPACES:
        try:
            await api.get(_NAMESPACE, name)
        except ApiError as error:
            if error.code != 404:
                raise
            await api.create(_NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


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
        self.listener = Listener(self.core, lambda: self.ready)

    @property
    def api(self) -> LocalApi:
        """The API in this process, as system:masters."""
        return LocalApi(self.core)

    @property
    def port(self) -> int:
        """The TCP port, known after `listen`."""
        return self.listener.port

    async def start(self) -> None:
        """Open the store and make the first namespaces; afterwards `api` works."""
        await self.store.start()
        self.core.start()
        await ensure_namespaces(self.api)

    async def listen(self) -> None:
        """Open the sockets; VarkaError when one is taken."""
        settings = self._settings
        try:
            for listener in settings.listeners:
                await self.listener.inherit(listener, settings.tls)
            if settings.socket is not None:
                await self.listener.open_unix(settings.socket, settings.tls)
            if settings.tcp is not None:
                await self.listener.open_tcp(*settings.tcp, settings.tls)
        except OSError as error:
            raise VarkaError(f"the API server cannot listen: {error}", "end what uses the address, or choose another port") from error

    async def stop(self) -> None:
        """Close the sockets, end watches, finish writes."""
        self.ready = False
        await self.listener.close()
        await self.core.stop()
        await self.store.close()


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
