from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.api import FakeApi

from varka.client import resources
from varka.client.informers import Informers
from varka.telemetry.requests import following
from varka.telemetry.requests.record import Request

FIELDS = ' - via_upstream - "-" 0 0 1 1 "-" "curl" "id" "{authority}" "{upstream}" {cluster} 1.1.1.1:1 {local}:80 {remote}:5 - default'


def line(path: str, *, cluster: str = "-", upstream: str = "-", remote: str = "-", authority: str = "a", code: int = 200) -> bytes:
    fields = FIELDS.format(authority=authority, upstream=upstream, cluster=cluster, local="9.9.9.9", remote=remote)
    return f'[2026-01-31T12:00:00.123Z] "GET {path} HTTP/1.1" {code}{fields}'.encode()


def pod(name: str, ip: str, *, proxy: bool = True, router: bool = False, **metadata: Any) -> dict[str, Any]:
    containers = [{"name": "app"}, *([{"name": "istio-proxy", "args": ["proxy", "router" if router else "sidecar"]}] if proxy else [])]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"containers": containers},
        "status": {"podIP": ip, "containerStatuses": [{"name": one["name"], "state": {"running": {}}} for one in containers]},
    }


class FakeLogs:
    """Logs that are given line by line; a pod's log stays open."""

    def __init__(self, lines: dict[str, list[bytes]]) -> None:
        self.lines = lines
        self.asked: list[tuple[str, str, int | None]] = []

    async def logs(self, namespace: str, pod: str, container: str = "", *, follow: bool = False, tail: int | None = None) -> AsyncIterator[bytes]:
        self.asked.append((pod, container, tail))
        for one in self.lines.get(pod, []):
            yield one
        await asyncio.Event().wait()


async def requests(pods: list[dict[str, Any]], lines: dict[str, list[bytes]], count: int, **options: Any) -> tuple[list[Request], FakeLogs]:
    """The first `count` requests that a follower gives."""
    api, logs = FakeApi(), FakeLogs(lines)
    for one in pods:
        await api.create(resources.PODS, one, "default")
    informers = Informers(api)
    follower = following.Follower(logs, informers, **options)
    watching = asyncio.create_task(informers.run())
    found: list[Request] = []
    try:
        async with asyncio.timeout(10), follower.running() as stream:
            await informers.synced()
            async for request in stream:
                found.append(request)
                if len(found) == count:
                    break
    finally:
        watching.cancel()
    return sorted(found, key=lambda request: request.line.path), logs


OWNED = {
    "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d9f", "controller": True, "uid": "1", "apiVersion": "apps/v1"}],
    "labels": {"pod-template-hash": "7d9f"},
}
INBOUND = "inbound|80||"
OUTBOUND = "outbound|80||shop.default.svc.cluster.local"


async def test_a_request_between_two_proxies_is_told_once_by_the_callee() -> None:
    """The caller's line is left out when the callee has a proxy; names are those of workloads."""
    pods = [pod("web-7d9f-x", "10.0.0.1", **OWNED), pod("shop", "10.0.0.2")]
    lines = {
        "web-7d9f-x": [line("/1", cluster=OUTBOUND, upstream="10.0.0.2:80", remote="10.0.0.1"), line("/2", cluster=OUTBOUND, remote="10.0.0.1", code=503)],
        "shop": [line("/1", cluster=INBOUND, upstream="10.0.0.2:80", remote="10.0.0.1")],
    }
    found, logs = await requests(pods, lines, 2)
    assert [(one.line.path, one.source.label, one.destination.label, one.reporter.pod) for one in found] == [
        ("/1", "web.default", "shop.default", "shop"),
        ("/2", "web.default", "shop.default", "web-7d9f-x"),
    ]
    assert sorted(logs.asked) == [("shop", "istio-proxy", 0), ("web-7d9f-x", "istio-proxy", 0)]


async def test_both_gives_what_each_proxy_tells() -> None:
    """With `both` nothing is left out."""
    pods = [pod("web", "10.0.0.1"), pod("shop", "10.0.0.2")]
    lines = {"web": [line("/1", cluster=OUTBOUND, upstream="10.0.0.2:80")], "shop": [line("/2", cluster=INBOUND, remote="10.0.0.1")]}
    found, _ = await requests(pods, lines, 2, both=True)
    assert [one.reporter.pod for one in found] == ["web", "shop"]


async def test_callers_outside_of_the_mesh_are_told_by_address_and_callees_by_name() -> None:
    """A gateway's caller, a plain pod without proxy, a host elsewhere, and a connection that nobody took."""
    pods = [pod("gateway", "10.0.0.3", router=True), pod("plain", "10.0.0.4", proxy=False), pod("shop", "10.0.0.2")]
    lines = {
        "gateway": [line("/1", remote="192.0.2.7", code=404), line("/2", cluster=OUTBOUND, upstream="10.0.0.4:80", remote="192.0.2.7")],
        "shop": [
            line("/3", remote="10.0.0.4", code=0),
            line("/4", cluster="PassthroughCluster", upstream="203.0.113.9:443", remote="10.0.0.2", authority="example.org"),
        ],
    }
    found, _ = await requests(pods, lines, 4)
    assert [(one.line.path, one.source.label, one.destination.label) for one in found] == [
        ("/1", "192.0.2.7", "gateway.default"),
        ("/2", "192.0.2.7", "plain.default"),
        ("/3", "plain.default", "shop.default"),
        ("/4", "shop.default", "example.org"),
    ]


FORWARDED = FIELDS.replace('"-" "curl" "id"', '"192.0.2.7" "curl" "{request}"')


def forwarded(path: str, request: str, *, cluster: str, upstream: str, remote: str) -> bytes:
    """A line of a request that came with X-Forwarded-For."""
    fields = FORWARDED.format(authority="a", upstream=upstream, cluster=cluster, local="9.9.9.9", remote=remote, request=request)
    return f'[2026-01-31T12:00:00.123Z] "GET {path} HTTP/1.1" 200{fields.replace(remote + ":5", remote)}'.encode()


async def test_the_caller_of_a_forwarded_request_is_the_proxy_that_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The callee's log has the first sender's address; a gateway's own line tells better. Where none does, the address stands."""
    monkeypatch.setattr(following, "HOLD_SECONDS", 0.6)
    pods = [pod("gateway", "10.0.0.3", router=True), pod("shop", "10.0.0.2")]
    lines = {
        "gateway": [forwarded("/1", "one", cluster=OUTBOUND, upstream="10.0.0.2:80", remote="192.0.2.7:4000")],
        "shop": [
            forwarded("/1", "one", cluster=INBOUND, upstream="10.0.0.2:80", remote="192.0.2.7:0"),
            forwarded("/2", "two", cluster=INBOUND, upstream="10.0.0.2:80", remote="192.0.2.7:0"),
        ],
    }
    expected = [("/1", "gateway.default", "shop.default", "shop"), ("/2", "192.0.2.7", "shop.default", "shop")]
    for order in (pods, pods[::-1]):
        found, _ = await requests(order, lines, 2)
        assert [(one.line.path, one.source.label, one.destination.label, one.reporter.pod) for one in found] == expected
    found, _ = await requests(pods, lines, 3, both=True)
    assert [(one.line.path, one.source.label, one.reporter.pod) for one in found if one.line.path == "/1"] in (
        [("/1", "gateway.default", "shop"), ("/1", "192.0.2.7", "gateway")],
        [("/1", "192.0.2.7", "gateway"), ("/1", "gateway.default", "shop")],
    )


async def test_a_reader_that_is_too_slow_loses_requests_not_memory() -> None:
    """What finds no room in the queue is counted."""
    api = FakeApi()
    await api.create(resources.PODS, pod("shop", "10.0.0.2"), "default")
    informers = Informers(api)
    follower = following.Follower(FakeLogs({"shop": [line("/", cluster=INBOUND, remote="10.0.0.1")] * (following.QUEUE + 7)}), informers)
    watching = asyncio.create_task(informers.run())
    async with asyncio.timeout(20), follower.running():
        while not follower.lost:  # noqa: ASYNC110
            await asyncio.sleep(0)
    watching.cancel()
    assert follower.lost == 7
