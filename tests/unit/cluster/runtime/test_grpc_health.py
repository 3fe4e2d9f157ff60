"""gRPC health checks against a real server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from varka.cluster.runtime import grpc_health


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that answers SERVING for "", NOT_SERVING for "down", and fails for "broken"."""

    async def check(service: bytes, context: Any) -> bytes:
        if service == b"\x0a\x06broken":
            await context.abort(grpc.StatusCode.INTERNAL, "boom")
        return b"\x08\x02" if service else b"\x08\x01"

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),))
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield number
    await server.stop(None)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("", (True, "")),
        ("down", (False, 'service unhealthy (responded with "NOT_SERVING")')),
        ("broken", (False, "error: health rpc probe failed: boom")),
    ],
)
async def test_check(port: int, service: str, expected: tuple[bool, str]) -> None:
    """What the server says."""
    assert await grpc_health.check("127.0.0.1", port, service, 5) == expected


async def test_nobody_listens() -> None:
    """A refused connection is a failure, not an exception."""
    success, message = await grpc_health.check("127.0.0.1", 1, "", 2)
    assert not success
    assert message.startswith("timeout: failed to connect service 127.0.0.1:1 within 2s")


def test_messages() -> None:
    """The wire form."""
    assert grpc_health.request("ab") == b"\x0a\x02ab"
    assert [grpc_health.status(answer) for answer in (b"", b"\x08\x01", b"\x08\x03")] == [0, 1, 3]
