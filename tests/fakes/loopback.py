"""An Envoy's admin interface and a DNS server on loopback, which answer what a test tells them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import dnslib
from aiohttp import web

READY = "cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_success: 1\nlistener_manager.workers_started: 1\n"


class EnvoyAdminFake:
    """Answers readiness and statistics; keeps the requests that change something. Its connection counts are used up one by one."""

    def __init__(self) -> None:
        self.port = 0
        self.live = True
        self.ready_stats = READY
        self.prometheus = ""
        self.connections: list[int] = []
        self.posts: list[str] = []
        self.quit = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        """Any request."""
        if request.method == "POST":
            self.posts.append(request.path_qs)
            if request.path == "/quitquitquit":
                self.quit.set()
            return web.Response(text="OK\n")
        if request.path == "/ready":
            return web.Response(status=200 if self.live else 503, text="LIVE\n" if self.live else "INITIALIZING\n")
        if request.path == "/stats/prometheus":
            return web.Response(text=self.prometheus)
        if "downstream_cx_active" in request.query.get("filter", ""):
            count = self.connections.pop(0) if self.connections else 0
            return web.Response(
                text=f"listener.0.0.0.0_15006.downstream_cx_active: {count}\nlistener.0.0.0.0_15006.worker_0.downstream_cx_active: {count}\n"
                "listener.0.0.0.0_15001.downstream_cx_active: 7\nlistener.admin.downstream_cx_active: 1\n"
            )
        if request.path == "/stats":
            return web.Response(text=self.ready_stats)
        return web.Response(status=404, text="unknown path\n")


@asynccontextmanager
async def envoy_admin() -> AsyncIterator[EnvoyAdminFake]:
    """One on a free port of loopback."""
    fake = EnvoyAdminFake()
    async with serving(fake.answer) as port:
        fake.port = port
        yield fake


@asynccontextmanager
async def serving(answer: object) -> AsyncIterator[int]:
    """A web server for one handler; its port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class DnsFake(asyncio.DatagramProtocol):
    """Knows some names; the rest does not exist. `garbage` answers with bytes that are no DNS, `silent` not at all."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.asked: list[str] = []
        self.garbage = False
        self.silent = False
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        question = dnslib.DNSRecord.parse(data)
        name = str(question.q.qname)
        self.asked.append(name)
        reply = question.reply()
        if name in self.names:
            reply.add_answer(dnslib.RR(name, dnslib.QTYPE.A, rdata=dnslib.A(self.names[name])))
        else:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        if not self.silent:
            self._transport.sendto(b"\x00" if self.garbage else reply.pack(), addr)


@asynccontextmanager
async def dns(names: dict[str, str]) -> AsyncIterator[DnsFake]:
    """A name server on a free port of loopback."""
    loop = asyncio.get_running_loop()
    transport, fake = await loop.create_datagram_endpoint(lambda: DnsFake(names), local_addr=("127.0.0.1", 0))
    try:
        yield fake
    finally:
        transport.close()
