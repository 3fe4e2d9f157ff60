from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import dnslib
import pytest

from varka.agent.dns import name_server
from varka.agent.dns.name_server import NameServer, Settings
from varka.agent.dns.names import Resolver
from varka.agent.netns import NetworkNamespace
from varka.envoy import name_tables
from varka.model.name_table import Name

SEARCH = ("default.svc.cluster.local",)
TABLE = {"api.example.com": Name(addresses=("240.240.0.1", "2001:db8::1"), registry="External")}


def server(table: dict[str, Name] | None = None) -> NameServer:
    """One that knows the table, and no name server behind it."""
    made = NameServer(Settings(namespace="default", resolver=Resolver(servers=(), search=SEARCH)), NetworkNamespace(None))
    made.use(name_tables.parse(name_tables.resource(TABLE if table is None else table).body))
    return made


def records(reply: bytes) -> list[tuple[str, str, str]]:
    """Owner, type and data of each answer."""
    return [(str(one.rname), dnslib.QTYPE[one.rtype], str(one.rdata)) for one in dnslib.DNSRecord.parse(reply).rr]


@pytest.mark.parametrize(("kind", "address"), [("A", "240.240.0.1"), ("AAAA", "2001:db8::1")])
async def test_answers_by_family(kind: str, address: str) -> None:
    """Each question gets the addresses of its own family; names are compared without regard to case."""
    reply = await server().answer(dnslib.DNSRecord.question("API.example.com", kind).pack(), tcp=False)
    assert records(reply) == [("API.example.com.", kind, address)]


async def test_a_searched_name_is_an_alias() -> None:
    """The resolver learns which name it was found by, and need not try its other domains."""
    reply = await server().answer(dnslib.DNSRecord.question("api.example.com.default.svc.cluster.local").pack(), tcp=False)
    expected = [("api.example.com.default.svc.cluster.local.", "CNAME", "api.example.com."), ("api.example.com.", "A", "240.240.0.1")]
    assert records(reply) == expected


async def test_a_family_that_a_host_does_not_have_is_empty() -> None:
    """The host exists, so this is no error and nobody else is asked."""
    table = {"api.example.com": Name(addresses=("240.240.0.1",), registry="External")}
    reply = dnslib.DNSRecord.parse(await server(table).answer(dnslib.DNSRecord.question("api.example.com", "AAAA").pack(), tcp=False))
    assert (reply.rr, reply.header.rcode) == ([], dnslib.RCODE.NOERROR)


@pytest.mark.parametrize(("name", "mesh"), [("other.example.com", True), ("api.example.com", False)])
async def test_what_nobody_answers_is_a_failure(name: str, mesh: bool) -> None:
    """Unknown names, and all of Envoy's own questions, are for the name server of the network; here there is none."""
    reply = dnslib.DNSRecord.parse(await server().answer(dnslib.DNSRecord.question(name).pack(), tcp=False, mesh=mesh))
    assert reply.header.rcode == dnslib.RCODE.SERVFAIL


@pytest.mark.parametrize("query", [b"", b"nonsense", bytes(dnslib.DNSRecord.question("a").reply().pack())])
async def test_nonsense_has_no_answer(query: bytes) -> None:
    """What is no question is dropped."""
    assert await server().answer(query, tcp=False) == b""


@pytest.fixture
async def listening(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server on a free port of this machine; the port."""
    monkeypatch.setattr(name_server.wire, "DNS_UPSTREAM_PORT", 0)
    for _ in range(20):
        with NetworkNamespace(None).listen("127.0.0.1", 0) as probe:
            port = int(probe.getsockname()[1])
        monkeypatch.setattr(name_server, "PORT", port)
        made = server()
        try:
            await made.start()
            break
        except OSError:
            await made.stop()
    yield port
    await made.stop()


async def test_over_tcp(listening: int) -> None:
    """A stream carries each message with its length."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listening)
    query = dnslib.DNSRecord.question("api.example.com").pack()
    writer.write(struct.pack("!H", len(query)) + query)
    (length,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), 10))
    assert records(await reader.readexactly(length)) == [("api.example.com.", "A", "240.240.0.1")]
    writer.close()
