from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from varka.agent import grpc_health
from varka.agent.netns import NetworkNamespace

ANSWERS = {b"": b"\x08\x01", b"\x0a\x05books": b"\x08\x02", b"\x0a\x05other": b""}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def check(request: bytes, context: Any) -> bytes:
        if request not in ANSWERS:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return ANSWERS[request]

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),))
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield number
    await server.stop(grace=0)


@pytest.mark.parametrize(("service", "word"), [("", "SERVING"), ("books", "NOT_SERVING"), ("other", "UNKNOWN")])
async def test_the_status_is_the_application_s(port: int, service: str, word: str) -> None:
    """For the whole server and for one service; an empty answer is UNKNOWN."""
    assert await grpc_health.check(NetworkNamespace(None), "127.0.0.1", port, service, 5) == word


async def test_an_error_of_the_application_fails_the_probe(port: int) -> None:
    """With gRPC's code and words."""
    with pytest.raises(ConnectionError, match="NOT_FOUND: unknown service"):
        await grpc_health.check(NetworkNamespace(None), "127.0.0.1", port, "none", 5)


async def test_nobody_listening_fails_the_probe() -> None:
    """As a refused connection."""
    with pytest.raises(ConnectionRefusedError):
        await grpc_health.check(NetworkNamespace(None), "127.0.0.1", 1, "", 5)
