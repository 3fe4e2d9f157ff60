"""The gRPC health-checking protocol (`grpc.health.v1.Health/Check`), spoken to an application inside its pod."""

from __future__ import annotations

import asyncio
import socket

import grpc.aio

from varka.agent.netns import NetworkNamespace

_STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


async def check(namespace: NetworkNamespace, address: str, port: int, service: str, seconds: float) -> str:
    """The status word; OSError when the application does not answer.

    gRPC opens its own sockets, so a short-lived relay on a UNIX socket carries the call into the pod.
    """
    loop = asyncio.get_running_loop()
    inside = namespace.open()
    try:
        await loop.sock_connect(inside, (address, port))
    except OSError:
        inside.close()
        raise
    async with _Relay(inside) as target, grpc.aio.insecure_channel(target) as channel:
        encoded = service.encode()
        call = channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=None, response_deserializer=None)
        try:
            reply: bytes = await call(b"\x0a" + bytes([len(encoded)]) + encoded if encoded else b"", timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from error
    return _STATUS.get(reply[1] if len(reply) >= 2 and reply[0] == 0x08 else 0, "UNKNOWN")


class _Relay:
    """Listens on an abstract UNIX socket and carries one connection to `inside`."""

    def __init__(self, inside: socket.socket) -> None:
        self._inside = inside
        self._server: asyncio.AbstractServer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> str:
        name = f"varka-health-{id(self):x}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\0" + name)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener)
        return f"unix-abstract:{name}"

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        self._inside.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(sock=self._inside)
        self._tasks += [asyncio.create_task(_copy(reader, inner_writer)), asyncio.create_task(_copy(inner_reader, writer))]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()
    writer.close()
