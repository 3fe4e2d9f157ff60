"""Looks a service's name up as the pod itself would: with the name server and search list of the pod's resolv.conf."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress
from dataclasses import dataclass

import dnslib

from varka.base.errors import VarkaError

PORT = 53
ATTEMPT_SECONDS = 1.0
ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """Name servers, search domains and `ndots`."""

    servers: tuple[str, ...]
    search: tuple[str, ...] = ()
    ndots: int = 1

    def candidates(self, name: str) -> list[str]:
        """The names to ask for, in order."""
        if name.endswith("."):
            return [name]
        searched = [f"{name}.{domain}." for domain in self.search]
        return [f"{name}.", *searched] if name.count(".") >= self.ndots else [*searched, f"{name}."]


def parse(text: str) -> Resolver:
    """The resolver that a resolv.conf describes; values that make no sense are passed over, as resolvers do."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            servers.append(words[1])
        elif words[:1] == ["search"]:
            search = tuple(words[1:])
        elif words[:1] == ["options"]:
            ndots = next((int(value) for word in words if (value := word.removeprefix("ndots:")) != word and value.isdigit()), ndots)
    return Resolver(servers=tuple(servers), search=search, ndots=ndots)


async def address(name: str, resolver: Resolver) -> str:
    """An IPv4 address of `name`, which may be one already; VarkaError when nobody knows one."""
    with suppress(ValueError):
        return str(ipaddress.IPv4Address(name))
    for candidate in resolver.candidates(name):
        for server in resolver.servers * ATTEMPTS:
            found = await _ask(server, candidate)
            if found is None:
                continue
            if found:
                return found[0]
            break
    raise VarkaError(f"no address for {name}", "check that its Service exists and that the cluster's DNS answers")


async def _ask(server: str, name: str) -> list[str] | None:
    """IPv4 addresses; None when the server gave no answer in time, or none that makes sense."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()

    class Question(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            if not answered.done():
                answered.set_result(data)

        def error_received(self, exc: Exception) -> None:
            if not answered.done():
                answered.set_exception(exc)

    transport, _ = await loop.create_datagram_endpoint(Question, remote_addr=(server, PORT))
    try:
        transport.sendto(dnslib.DNSRecord.question(name).pack())
        async with asyncio.timeout(ATTEMPT_SECONDS):
            reply = dnslib.DNSRecord.parse(await answered)
    except (TimeoutError, OSError, dnslib.DNSError):
        return None
    finally:
        transport.close()
    return [str(record.rdata) for record in reply.rr if record.rtype == dnslib.QTYPE.A]
