from __future__ import annotations

import asyncio
from typing import Any

import dnslib
import pytest

from varka.base.errors import VarkaError
from varka.cluster.network import dns, zone

SERVICES: list[dict[str, Any]] = [
    {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}},
    {"metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]}},
    {"metadata": {"name": "away", "namespace": "shop"}, "spec": {"type": "ExternalName", "externalName": "example.org"}},
    {"metadata": {"name": "near", "namespace": "shop"}, "spec": {"type": "ExternalName", "externalName": "web.shop.svc.cluster.local"}},
]
SLICES: list[dict[str, Any]] = [
    {
        "metadata": {"name": "db-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.244.0.9"], "hostname": "db-0", "conditions": {"ready": True}},
            {"addresses": ["10.244.0.10"], "conditions": {"ready": True}},
            {"addresses": ["10.244.0.11"], "conditions": {"ready": False}},
        ],
        "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
    }
]


async def outside(name: str) -> list[str]:
    """The outside world: one name that exists, one that nobody can tell about."""
    if name == "broken.example":
        raise VarkaError("the host cannot resolve it")
    return {"example.org": ["192.0.2.1"]}.get(name, [])


@pytest.fixture
def server() -> dns.NameServer:
    """A name server with a zone and an outside."""
    made = dns.NameServer("cluster.local", outside)
    made.load(zone.build(SERVICES, SLICES, ["shop"], "cluster.local"))
    return made


async def ask(server: dns.NameServer, name: str, kind: str = "A") -> tuple[str, list[str]]:
    """Response code and answers to one query."""
    reply = dnslib.DNSRecord.parse(await server.answer(bytes(dnslib.DNSRecord.question(name, kind).pack())))
    return dnslib.RCODE[reply.header.rcode], [f"{dnslib.QTYPE[record.rtype]} {record.rdata}" for record in reply.rr]


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("web.shop.svc.cluster.local", "A", ("NOERROR", ["A 10.96.0.7"])),
        ("WEB.Shop.svc.cluster.local", "A", ("NOERROR", ["A 10.96.0.7"])),
        ("web.shop.svc.cluster.local", "AAAA", ("NOERROR", [])),
        ("_http._tcp.web.shop.svc.cluster.local", "SRV", ("NOERROR", ["SRV 0 100 80 web.shop.svc.cluster.local."])),
        ("db.shop.svc.cluster.local", "A", ("NOERROR", ["A 10.244.0.9", "A 10.244.0.10"])),
        ("db-0.db.shop.svc.cluster.local", "A", ("NOERROR", ["A 10.244.0.9"])),
        ("10-244-0-10.db.shop.svc.cluster.local", "A", ("NOERROR", ["A 10.244.0.10"])),
        ("10-244-0-77.shop.pod.cluster.local", "A", ("NOERROR", ["A 10.244.0.77"])),
        ("away.shop.svc.cluster.local", "A", ("NOERROR", ["CNAME example.org.", "A 192.0.2.1"])),
        ("near.shop.svc.cluster.local", "A", ("NOERROR", ["CNAME web.shop.svc.cluster.local.", "A 10.96.0.7"])),
        ("shop.svc.cluster.local", "A", ("NOERROR", [])),
        ("nothing.shop.svc.cluster.local", "A", ("NXDOMAIN", [])),
        ("example.org.shop.svc.cluster.local", "A", ("NXDOMAIN", [])),
        ("7.0.96.10.in-addr.arpa", "PTR", ("NOERROR", ["PTR web.shop.svc.cluster.local."])),
        ("9.0.244.10.in-addr.arpa", "PTR", ("NOERROR", ["PTR db-0.db.shop.svc.cluster.local."])),
        ("8.0.96.10.in-addr.arpa", "PTR", ("NXDOMAIN", [])),
        ("example.org", "A", ("NOERROR", ["A 192.0.2.1"])),
        ("example.org", "AAAA", ("NOERROR", [])),
        ("missing.example", "A", ("NXDOMAIN", [])),
        ("web", "A", ("NXDOMAIN", [])),
        ("broken.example", "A", ("SERVFAIL", [])),
    ],
)
async def test_answers(server: dns.NameServer, name: str, kind: str, answer: tuple[str, list[str]]) -> None:
    """Each kind of name is answered as the Kubernetes DNS specification says."""
    assert await ask(server, name, kind) == answer


async def test_without_egress_outside_names_are_refused() -> None:
    """The name server says that it does not look, instead of that nothing exists."""
    server = dns.NameServer("cluster.local", None)
    server.load(zone.build([], [], [], "cluster.local"))
    assert await ask(server, "example.org") == ("REFUSED", [])


async def test_a_query_waits_until_the_zone_is_loaded() -> None:
    """A node that has just started does not deny names that it does not know yet."""
    server = dns.NameServer("cluster.local", None)
    waiting = asyncio.create_task(ask(server, "web.shop.svc.cluster.local"))
    await asyncio.sleep(0)
    assert not waiting.done()
    server.load(zone.build(SERVICES, SLICES, ["shop"], "cluster.local"))
    assert await waiting == ("NOERROR", ["A 10.96.0.7"])


@pytest.mark.parametrize("junk", [b"", b"x", b"\0" * 11, b"\xff" * 40])
async def test_junk_is_no_query(server: dns.NameServer, junk: bytes) -> None:
    """A malformed datagram raises ValueError, which drops it."""
    with pytest.raises(ValueError, match="not a DNS"):
        await server.answer(junk)


async def test_a_long_answer_is_cut_for_datagrams(server: dns.NameServer) -> None:
    """The truncation bit tells the client to come again over TCP."""
    many = [{"addresses": [f"10.244.1.{number}"], "conditions": {"ready": True}} for number in range(200)]
    server.load(zone.build(SERVICES, [{**SLICES[0], "endpoints": many}], ["shop"], "cluster.local"))
    sent: list[bytes] = []
    server.start_answering(bytes(dnslib.DNSRecord.question("db.shop.svc.cluster.local").pack()), sent.append)
    for _ in range(5):
        await asyncio.sleep(0)
    reply = dnslib.DNSRecord.parse(sent[0])
    assert (reply.header.tc, len(reply.rr)) == (1, 0)
