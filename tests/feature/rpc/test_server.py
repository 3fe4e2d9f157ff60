"""The gRPC server over real TLS, called by gRPC's own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
import pytest

from varka.control.certificates.serving_certificate import ServingCertificate
from varka.identity import authority, keys
from varka.rpc.messages import CallError, Code
from varka.rpc.server import Call, Server

HOST = "istiod.istio-system.svc"


async def echo(call: Call) -> None:
    """Every message back."""
    while (data := await call.read()) is not None:
        await call.write(data)


async def broken(call: Call) -> None:
    """Fails by a mistake of its own."""
    await call.read()
    raise ValueError("secret of the server")


async def refusing(call: Call) -> None:
    """Says no, with a text that is not ASCII."""
    await call.read()
    raise CallError(Code.INVALID_ARGUMENT, "nein, süß: 100 %")


async def flood(call: Call) -> None:
    """More than anybody takes without reading."""
    await call.read()
    for _ in range(64):
        await call.write(b"x" * (1 << 20))


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, grpc.aio.Channel]]:
    """The server, and a connection to it without a certificate."""
    now = datetime.now(UTC)
    root = authority.self_signed("cluster.local", now)
    key = keys.generate()
    certificate = ServingCertificate(alpn=("h2",), client_certificates=True)
    certificate.use("".join(root.sign_server(key, [HOST], timedelta(days=1), now)).encode(), keys.to_pem(key), root.root_pem)
    server = Server({"/t.T/Echo": echo, "/t.T/Broken": broken, "/t.T/Refusing": refusing, "/t.T/Flood": flood}, largest_message=1 << 20)
    port = await server.start("127.0.0.1", 0, certificate.context)
    options = [("grpc.ssl_target_name_override", HOST), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    try:
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(root.root_pem), options=options) as channel:
            yield server, channel
    finally:
        await server.stop()


async def test_unary_and_streaming_calls_come_back() -> None:
    """One message, many messages, and a large one, over one connection."""
    async with serving() as (server, channel):
        assert await channel.unary_unary("/t.T/Echo")(b"hello", timeout=10) == b"hello"
        large = bytes(range(256)) * 4000
        call = channel.stream_stream("/t.T/Echo")()
        for data in (b"", b"a", large):
            await call.write(data)
            assert await asyncio.wait_for(call.read(), 10) == data
        await call.done_writing()
        assert await asyncio.wait_for(call.code(), 10) is grpc.StatusCode.OK
        assert server.connections == 1


@pytest.mark.parametrize(
    "method, data, code, text",
    [
        ("Nothing", b"", grpc.StatusCode.UNIMPLEMENTED, "there is no method /t.T/Nothing"),
        ("Broken", b"", grpc.StatusCode.INTERNAL, "the server failed: ValueError"),
        ("Refusing", b"", grpc.StatusCode.INVALID_ARGUMENT, "nein, süß: 100 %"),
        ("Echo", b"x" * ((1 << 20) + 1), grpc.StatusCode.RESOURCE_EXHAUSTED, "a message of 1048577 bytes is longer than 1048576"),
    ],
)
async def test_calls_that_fail_say_why(method: str, data: bytes, code: grpc.StatusCode, text: str) -> None:
    """Code and text arrive, and the connection goes on."""
    async with serving() as (_, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(f"/t.T/{method}")(data, timeout=10)
        assert (caught.value.code(), caught.value.details()) == (code, text)
        assert await channel.unary_unary("/t.T/Echo")(b"still here", timeout=10) == b"still here"


async def test_caller_who_does_not_read_holds_nobody_up() -> None:
    """Its handler waits; others are answered meanwhile; when it reads, it gets everything."""
    async with serving() as (_, channel):
        slow = channel.unary_stream("/t.T/Flood")(b"")
        assert len(await asyncio.wait_for(slow.read(), 10)) == 1 << 20
        assert await channel.unary_unary("/t.T/Echo")(b"quick", timeout=10) == b"quick"
        for _ in range(63):
            assert len(await asyncio.wait_for(slow.read(), 10)) == 1 << 20
        assert await asyncio.wait_for(slow.code(), 10) is grpc.StatusCode.OK


async def test_stopping_ends_open_calls() -> None:
    """A caller in the middle of a stream hears of it, and no task stays."""
    async with serving() as (server, channel):
        call = channel.stream_stream("/t.T/Echo")()
        await call.write(b"a")
        assert await asyncio.wait_for(call.read(), 10) == b"a"
        await server.stop()
        assert await asyncio.wait_for(call.code(), 10) is not grpc.StatusCode.OK
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("call:")]
