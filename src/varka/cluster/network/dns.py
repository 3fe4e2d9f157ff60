"""The cluster's name server, on UDP and TCP: names of the cluster from the zone, all others from the host through the relay.

There is no IPv6: AAAA of a name that exists is an empty answer. A relay that does not answer in time is SERVFAIL.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Awaitable, Callable

import dnslib

from varka.base.errors import VarkaError
from varka.cluster.network import zone as zones

log = logging.getLogger(__name__)
TTL = 5
OUTSIDE_TTL = 30
_OUTSIDE_PATIENCE = 4.0
_MOST_CACHED = 4096
_UDP_LIMIT = 1232
_TCP_IDLE = 30.0

Resolve = Callable[[str], Awaitable[list[str]]]
"""Addresses of an outside name; empty when it does not exist; raises VarkaError or TimeoutError when nobody can tell."""


class NameServer:
    """Answers for one zone; `zone` is replaced whenever the cluster changes. `resolve` is None when the outside is closed."""

    def __init__(self, domain: str, resolve: Resolve | None) -> None:
        self.zone = zones.Zone(domain)
        self.loaded = asyncio.Event()
        self._resolve = resolve
        self._outside: dict[str, tuple[float, list[str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, zone: zones.Zone) -> None:
        """Answer from `zone` from now on."""
        self.zone = zone
        self.loaded.set()

    async def answer(self, query: bytes) -> bytes:
        """The reply to one message; ValueError when it is no query."""
        try:
            request = dnslib.DNSRecord.parse(query)
        except (dnslib.DNSError, ValueError, IndexError, struct.error) as error:
            raise ValueError("not a DNS message") from error
        if request.header.qr or not request.questions:
            raise ValueError("not a DNS query")
        reply = request.reply(ra=1, aa=0)
        await self.loaded.wait()
        name = str(request.q.qname).rstrip(".").lower()
        try:
            await self._fill(reply, request.q.qname, name, request.q.qtype, depth=0)
        except (VarkaError, TimeoutError, OSError) as error:
            log.debug("cannot resolve %s: %s", name, error)
            reply.header.rcode = dnslib.RCODE.SERVFAIL
        return bytes(reply.pack())

    async def _fill(self, reply: dnslib.DNSRecord, owner: dnslib.DNSLabel, name: str, kind: int, depth: int) -> None:
        if not self.zone.inside(name):
            await self._fill_outside(reply, owner, name, kind)
            return
        reply.header.aa = 1
        found = self.zone.lookup(name)
        if not found.exists:
            if depth == 0:
                reply.header.rcode = dnslib.RCODE.NXDOMAIN
            self._authority(reply)
            return
        if found.alias:
            reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.CNAME, rdata=dnslib.CNAME(found.alias), ttl=TTL))
            if kind != dnslib.QTYPE.CNAME and depth < 8:
                await self._fill(reply, dnslib.DNSLabel(found.alias), found.alias, kind, depth + 1)
            return
        if kind in (dnslib.QTYPE.A, dnslib.QTYPE.ANY):
            for address in found.addresses:
                reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.A, rdata=dnslib.A(address), ttl=TTL))
        if kind in (dnslib.QTYPE.SRV, dnslib.QTYPE.ANY):
            self._services(reply, owner, found)
        if kind in (dnslib.QTYPE.PTR, dnslib.QTYPE.ANY) and found.pointer:
            reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.PTR, rdata=dnslib.PTR(found.pointer), ttl=TTL))
        if not reply.rr:
            self._authority(reply)

    def _services(self, reply: dnslib.DNSRecord, owner: dnslib.DNSLabel, found: zones.Answer) -> None:
        weight = 100 // max(1, len(found.srv))
        for port, target in found.srv:
            reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.SRV, rdata=dnslib.SRV(0, weight, port, target), ttl=TTL))
            for address in self.zone.lookup(target).addresses:
                reply.add_ar(dnslib.RR(target, dnslib.QTYPE.A, rdata=dnslib.A(address), ttl=TTL))

    async def _fill_outside(self, reply: dnslib.DNSRecord, owner: dnslib.DNSLabel, name: str, kind: int) -> None:
        if self._resolve is None:
            reply.header.rcode = dnslib.RCODE.REFUSED
            return
        if "." not in name or name.endswith((".arpa", ".local")):
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
            return
        addresses = await self._look_outside(name)
        if not addresses:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        elif kind in (dnslib.QTYPE.A, dnslib.QTYPE.ANY):
            for address in addresses:
                reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.A, rdata=dnslib.A(address), ttl=OUTSIDE_TTL))

    async def _look_outside(self, name: str) -> list[str]:
        assert self._resolve is not None
        known = self._outside.get(name)
        now = time.monotonic()
        if known and known[0] > now:
            return known[1]
        async with asyncio.timeout(_OUTSIDE_PATIENCE):
            addresses = await self._resolve(name)
        if len(self._outside) >= _MOST_CACHED:
            self._outside.clear()
        self._outside[name] = (now + (OUTSIDE_TTL if addresses else TTL), addresses)
        return addresses

    def _authority(self, reply: dnslib.DNSRecord) -> None:
        domain = self.zone.domain
        soa = dnslib.SOA(f"ns.dns.{domain}", f"hostmaster.{domain}", (1, 7200, 1800, 86400, TTL))
        reply.add_auth(dnslib.RR(domain, dnslib.QTYPE.SOA, rdata=soa, ttl=TTL))

    def start_answering(self, query: bytes, send: Callable[[bytes], None]) -> None:
        """Answer a datagram in a task of its own; answers over the datagram limit say so and come again over TCP."""

        async def work() -> None:
            try:
                reply = await self.answer(query)
            except ValueError:
                return
            send(reply if len(reply) <= _UDP_LIMIT else _truncated(reply))

        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self, datagrams: socket.socket, connections: socket.socket) -> None:
        """Answer on two bound sockets until cancelled."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=datagrams)
        server = await asyncio.start_server(self._converse, sock=connections)
        try:
            async with server:
                await server.serve_forever()
        finally:
            transport.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    query = await reader.readexactly(length)
                reply = await self.answer(query)
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ValueError, OSError):
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport) or hasattr(transport, "sendto")
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        transport = self._transport
        if transport is not None:
            self._server.start_answering(data, lambda reply: transport.sendto(reply, addr))


def _truncated(reply: bytes) -> bytes:
    record = dnslib.DNSRecord.parse(reply)
    short = dnslib.DNSRecord(record.header, q=record.q)
    short.header.tc = 1
    return bytes(short.pack())
