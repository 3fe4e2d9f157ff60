"""Answers a pod's DNS queries: hosts of the mesh from the table that istiod sends, all others from the pod's name server.

The application's queries are redirected to one port. Envoy uses another one, which leaves the table out: it wants to
know where a host really is, not the address that was made up for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import dnslib

from varka.agent.dns.name_lookup import Found, Lookup
from varka.agent.dns.names import Resolver
from varka.agent.netns import NetworkNamespace
from varka.envoy import names as wire
from varka.model.name_table import Name

log = logging.getLogger("varka.agent.dns")

ADDRESS, PORT = "127.0.0.1", 15053
TTL = 30
UPSTREAM_SECONDS = 2.0
TABLE_SECONDS = 3.0
"""How long the first queries wait for the first table."""
IDLE_SECONDS = 30.0
MOST_QUERIES = 512
MAX_MESSAGE = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Whose queries are answered: namespace of the workload, and what its resolv.conf says."""

    namespace: str
    resolver: Resolver


class NameServer:
    """Listens in the pod's network namespace, on UDP and TCP."""

    def __init__(self, settings: Settings, place: NetworkNamespace) -> None:
        self._settings = settings
        self._place = place
        self._lookup = Lookup({}, settings.namespace)
        self._loaded = asyncio.Event()
        self._transports: list[asyncio.BaseTransport] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def use(self, names: Mapping[str, Name]) -> None:
        """Answer from this table from now on."""
        self._lookup = Lookup(names, self._settings.namespace, self._settings.resolver.search)
        self._loaded.set()

    async def start(self) -> None:
        """Listen; OSError when a port is taken."""
        loop = asyncio.get_running_loop()
        for port, mesh in ((PORT, True), (wire.DNS_UPSTREAM_PORT, False)):
            transport, _ = await loop.create_datagram_endpoint(lambda mesh=mesh: _Datagrams(self, mesh), sock=self._place.bind(ADDRESS, port))  # type: ignore[misc]
            self._transports.append(transport)

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mesh: bool = mesh) -> None:
                await self._serve(reader, writer, mesh)

            self._servers.append(await asyncio.start_server(serve, sock=self._place.listen(ADDRESS, port)))

    async def stop(self) -> None:
        for transport in self._transports:
            transport.close()
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()

    def take(self, query: bytes, source: tuple[str, int], transport: asyncio.DatagramTransport, mesh: bool) -> None:
        """Answer a datagram; one too many is dropped, and its sender asks again."""
        if len(self._tasks) < MOST_QUERIES:
            task = asyncio.create_task(self._reply(query, source, transport, mesh))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reply(self, query: bytes, source: tuple[str, int], transport: asyncio.DatagramTransport, mesh: bool) -> None:
        answer = await self.answer(query, tcp=False, mesh=mesh)
        if answer and not transport.is_closing():
            transport.sendto(answer, source)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mesh: bool) -> None:
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    query = await reader.readexactly(length)
                answer = await self.answer(query, tcp=True, mesh=mesh)
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            pass
        finally:
            writer.close()

    async def answer(self, query: bytes, *, tcp: bool, mesh: bool = True) -> bytes:
        """The reply to one message; empty when it is none."""
        try:
            request = dnslib.DNSRecord.parse(query)
        except (dnslib.DNSError, ValueError, IndexError, struct.error):
            return b""
        if request.header.qr or not request.questions:
            return b""
        if mesh and request.q.qtype in (dnslib.QTYPE.A, dnslib.QTYPE.AAAA):
            try:
                async with asyncio.timeout(TABLE_SECONDS):
                    await self._loaded.wait()
            except TimeoutError:
                log.warning("there is no table of names from istiod yet; asking the name server of the network")
            found = self._lookup.find(str(request.q.qname).rstrip(".").lower())
            if found is not None:
                return _known(request, found)
        return await self._forward(request, query, tcp)

    async def _forward(self, request: dnslib.DNSRecord, query: bytes, tcp: bool) -> bytes:
        for server in self._settings.resolver.servers:
            try:
                async with asyncio.timeout(UPSTREAM_SECONDS):
                    return await (self._over_tcp(server, query) if tcp else self._over_udp(server, query))
            except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                log.debug("name server %s: %s", server, error or type(error).__name__)
        reply = request.reply(ra=1, aa=0)
        reply.header.rcode = dnslib.RCODE.SERVFAIL
        return bytes(reply.pack())

    async def _over_udp(self, server: str, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with self._marked(socket.SOCK_DGRAM) as connection:
            await loop.sock_connect(connection, (server, 53))
            await loop.sock_sendall(connection, query)
            return await loop.sock_recv(connection, MAX_MESSAGE)

    async def _over_tcp(self, server: str, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        connection = self._marked(socket.SOCK_STREAM)
        try:
            await loop.sock_connect(connection, (server, 53))
            reader, writer = await asyncio.open_connection(sock=connection)
        except BaseException:
            connection.close()
            raise
        try:
            writer.write(struct.pack("!H", len(query)) + query)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)
        finally:
            writer.close()

    def _marked(self, kind: int) -> socket.socket:
        """A socket of the pod whose packets are not redirected back to us."""
        made = self._place.open(kind=kind)
        made.setsockopt(wire.SOL_SOCKET, wire.SO_MARK, wire.MARK)
        return made


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, owner: NameServer, mesh: bool) -> None:
        self._owner = owner
        self._mesh = mesh
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._owner.take(data, addr, self._transport, self._mesh)


def _known(request: dnslib.DNSRecord, found: Found) -> bytes:
    """The reply from the table; a family of addresses that the host does not have is an empty answer."""
    reply = request.reply(ra=1, aa=1)
    owner = request.q.qname
    if found.alias:
        alias = dnslib.DNSLabel(found.alias)
        reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.CNAME, rdata=dnslib.CNAME(alias), ttl=TTL))
        owner = alias
    six = request.q.qtype == dnslib.QTYPE.AAAA
    chosen = [address for address in found.addresses if (":" in address) is six]
    for address in random.sample(chosen, len(chosen)):
        reply.add_answer(dnslib.RR(owner, request.q.qtype, rdata=dnslib.AAAA(address) if six else dnslib.A(address), ttl=TTL))
    return bytes(reply.pack())
