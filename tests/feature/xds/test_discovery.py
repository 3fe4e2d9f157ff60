"""The discovery service over real TLS and gRPC: well-behaved clients and others."""

from __future__ import annotations

import asyncio
import gc

import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from tests.feature.xds import ads
from tests.feature.xds.ads import DeltaClient

from varka.xds import types

CDS, EDS = types.CLUSTER, types.ENDPOINT


async def test_proxy_gets_its_resources_and_then_each_change() -> None:
    """A change is pushed without being asked for."""
    async with ads.running() as mesh, mesh.channel() as channel:
        mesh.pipeline.set(CDS, a="1", b="1")
        client = DeltaClient(channel)
        await client.send(CDS)
        await client.receive()
        assert client.held[CDS] == {"a": b"1", "b": b"1"}
        mesh.pipeline.set(CDS, a="1", b="2")
        mesh.push()
        response = await client.receive()
        assert [one.name for one in response.resources] == ["b"]


async def test_stream_without_certificate_is_refused() -> None:
    """Discovery is only for workloads of the mesh."""
    async with ads.running() as mesh, mesh.channel(certificate=False) as channel:
        client = DeltaClient(channel)
        with pytest.raises((grpc.aio.AioRpcError, EOFError, asyncio.InvalidStateError)):
            await client.send(CDS)
            await client.receive()
        assert await client.call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_stream_with_another_workloads_certificate_is_refused() -> None:
    """What the owner refuses ends with PERMISSION_DENIED and leaves nothing behind."""
    async with ads.running() as mesh, mesh.channel() as channel:
        client = DeltaClient(channel)
        mesh.pipeline.refused.add(client.node.id)
        await client.send(CDS)
        assert await client.call.code() is grpc.StatusCode.PERMISSION_DENIED
        assert mesh.pusher.clients == {} and mesh.discovery.clients == {}


async def test_bytes_from_a_foreign_authority_are_refused() -> None:
    """A certificate of another authority does not complete the handshake."""
    async with ads.running() as mesh, ads.running() as other:
        other.port = mesh.port
        async with other.channel() as channel:
            client = DeltaClient(channel)
            with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)):
                await client.send(CDS)
                await client.receive()


async def test_unknown_types_and_stale_nonces_do_no_harm() -> None:
    """The stream goes on after requests that make no sense."""
    async with ads.running() as mesh, mesh.channel() as channel:
        mesh.pipeline.set(CDS, a="1")
        client = DeltaClient(channel)
        await client.send("type.googleapis.com/nonsense", resource_names_subscribe=["x"])
        await client.send(CDS, response_nonce="stale")
        await client.send(CDS, response_nonce="staler")
        await client.receive()
        assert client.held[CDS] == {"a": b"1"}


async def test_rejecting_proxy_does_not_disturb_another() -> None:
    """A NACK is kept for the one proxy; the other has everything."""
    async with ads.running() as mesh, mesh.channel() as one, mesh.channel() as two:
        mesh.pipeline.set(CDS, a="1", b="1")
        bad, good = DeltaClient(one, "bad"), DeltaClient(two, "good")
        for client in (bad, good):
            await client.send(CDS)
        response = await bad.receive(accept=False)
        await bad.send(CDS, response_nonce=response.nonce, error_detail={"code": 3, "message": "no good: a"})
        again = await bad.receive()
        assert [one.name for one in again.resources] == ["b"]
        await good.receive()
        assert set(good.held[CDS]) == {"a", "b"}


async def test_proxy_that_cannot_be_computed_keeps_what_it_has() -> None:
    """The failure of one proxy's configuration is not the failure of the push."""
    async with ads.running() as mesh, mesh.channel() as one, mesh.channel() as two:
        mesh.pipeline.set(CDS, a="1")
        broken, good = DeltaClient(one, "broken"), DeltaClient(two, "good")
        for client in (broken, good):
            await client.send(CDS)
            await client.receive()
        mesh.pipeline.broken.add(broken.node.id)
        mesh.pipeline.set(CDS, a="2")
        mesh.push()
        await good.receive()
        assert good.held[CDS] == {"a": b"2"}
        assert await broken.quiet()


async def test_secrets_are_sent_when_they_are_asked_for() -> None:
    """Credentials come by name only."""
    async with ads.running() as mesh, mesh.channel() as channel:
        client = DeltaClient(channel)
        await client.send(CDS)
        await client.receive()
        await client.send(types.SECRET, resource_names_subscribe=["kubernetes://web"])
        await client.receive()
        assert client.held[types.SECRET] == {"kubernetes://web": b"s"}


async def test_state_of_the_world() -> None:
    """The older protocol is served too."""
    async with ads.running() as mesh, mesh.channel() as channel:
        mesh.pipeline.set(CDS, a="1", b="1")
        call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources()
        await call.write(discovery_pb2.DiscoveryRequest(node=DeltaClient(channel).node, type_url=CDS))
        response = await asyncio.wait_for(call.read(), 10)
        assert [one.value for one in response.resources] == [b"1", b"1"]


async def test_garbage_ends_only_its_own_stream() -> None:
    """A message that is no request is answered with INVALID_ARGUMENT."""
    async with ads.running() as mesh, mesh.channel() as channel:
        call = channel.stream_stream(f"/envoy.service.discovery.v3.AggregatedDiscoveryService/{'DeltaAggregatedResources'}")()
        await call.write(b"\xff\xff\xff\xff")
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert mesh.discovery.clients == {}


async def test_a_thousand_connects_and_drops_leave_nothing_behind() -> None:
    """No client, task or connection is kept of streams that are gone."""
    async with ads.running() as mesh:
        mesh.pipeline.set(CDS, a="1")
        before = len(asyncio.all_tasks())
        async with mesh.channel() as channel:
            for number in range(1000):
                client = DeltaClient(channel, f"p{number}")
                await client.send(CDS)
                if number % 3 == 0:
                    await client.receive()
                client.call.cancel()
        del client, channel
        async with asyncio.timeout(20):
            while mesh.discovery.clients or mesh.pusher.clients or mesh.server.connections:
                gc.collect()
                await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) <= before + 5


async def test_two_hundred_proxies_all_have_the_newest_state() -> None:
    """After a burst of changes everyone ends up with the last one, with far fewer responses than changes."""
    async with ads.running() as mesh:
        mesh.pipeline.set(EDS, **{f"c{number}": "0" for number in range(50)})
        channels = [mesh.channel() for _ in range(10)]
        clients = [DeltaClient(channels[number % 10], f"p{number}") for number in range(200)]
        for client in clients:
            await client.send(EDS, resource_names_subscribe=[f"c{number}" for number in range(50)])
        await asyncio.gather(*(client.receive() for client in clients))
        received = [0] * 200

        async def follow(number: int) -> None:
            while clients[number].held[EDS]["c7"] != b"30":
                await clients[number].receive(seconds=30)
                received[number] += 1

        tasks = [asyncio.create_task(follow(number)) for number in range(200)]
        for round_ in range(1, 31):
            mesh.pipeline.set(EDS, **{f"c{number}": str(round_) if number == 7 else "0" for number in range(50)})
            mesh.push()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert max(received) < 30
        assert all(client.held[EDS]["c0"] == b"0" for client in clients)
        for channel in channels:
            await channel.close()
