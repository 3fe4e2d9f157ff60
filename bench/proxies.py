"""Simulated proxies: many delta-ADS streams over mutual TLS from one process, each with a connection of its own.

A proxy behaves as Envoy does: clusters and listeners by wildcard, endpoints by the clusters it was given, routes by
its listeners' port; it acknowledges each response, and gives the flow-control windows that Envoy gives. It speaks just
enough HTTP/2 for that and looks into nothing but a response's type and nonce, so that this process costs as little as it
can of the cores that it shares with the control plane.

`python -m bench.proxies` reads one JSON object (address, files, count) from its input, and ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import hpack
import uvloop
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import struct_pb2

from bench import mesh_objects
from varka.rpc import messages
from varka.xds import types
from varka.xds.resource_set import text

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
HOST = "istiod.istio-system.svc"
STREAM_WINDOW, CONNECTION_WINDOW = 16 << 20, 24 << 20
"""Envoy's defaults."""
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_HEADERS, ACK, END_STREAM = 4, 1, 1
ENABLE_PUSH, INITIAL_WINDOW = 2, 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def message(payload: bytes) -> bytes:
    """One gRPC message in DATA frames of the first stream."""
    return messages.data_frames(1, messages.prefix(len(payload)) + payload, 16_384)


def fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of every field of a protobuf message that has none but length-delimited ones."""
    at, end = 0, len(data)
    while at < end:
        number, at = _varint(data, at)
        size, at = _varint(data, at)
        yield number >> 3, at, at + size
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


class Shared:
    """What all proxies of a process have in common: they see the same services, so the first one's list is everyone's."""

    def __init__(self, authority: str) -> None:
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", METHOD),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        self.headers = hpack.Encoder().encode(headers)
        self.endpoints = b""

    def subscription(self, clusters: bytes) -> bytes:
        """The request for the endpoints of a response's clusters."""
        if not self.endpoints:
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(clusters)
            names: Iterable[str] = (resource.name for resource in response.resources if resource.name.startswith("outbound|"))
            self.endpoints = text(2, types.ENDPOINT) + b"".join(text(3, name) for name in names)
        return self.endpoints


class SimulatedProxy(asyncio.Protocol):
    """One connection with one stream."""

    def __init__(self, number: int, shared: Shared, ended: asyncio.Future[str]) -> None:
        self._number = number
        self._shared = shared
        self._ended = ended
        self._subscribed = False
        self._rest = b""
        self._parts: list[bytes] = []
        self._have = 0
        self._used = 0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the stream."""
        self._transport = transport = cast(asyncio.Transport, transport)
        settings = struct.pack(">HIHI", ENABLE_PUSH, 0, INITIAL_WINDOW, STREAM_WINDOW)
        opening = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            frame(SETTINGS, 0, 0, settings),
            frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", CONNECTION_WINDOW - 65535)),
            frame(HEADERS, END_HEADERS, 1, self._shared.headers),
            message(text(1, self._node()) + text(2, types.CLUSTER)),
            message(text(2, types.LISTENER)),
        ]
        transport.write(b"".join(opening))

    def _node(self) -> bytes:
        metadata = struct_pb2.Struct()
        metadata.update({"NAMESPACE": mesh_objects.NAMESPACE, "ISTIO_VERSION": "1.28.2", "SERVICE_ACCOUNT": "s0"})
        which = self._number + 10
        address = f"10.{200 + which // 62500}.{which // 250 % 250}.{which % 250 + 1}"
        name = f"client-{self._number}.{mesh_objects.NAMESPACE}"
        node = f"sidecar~{address}~{name}~{mesh_objects.NAMESPACE}.svc.cluster.local"
        return base_pb2.Node(id=node, metadata=metadata).SerializeToString()

    def connection_lost(self, exc: Exception | None) -> None:
        """A proxy never leaves by itself."""
        self._fail(f"the connection ended: {exc!r}")

    def _fail(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(f"proxy {self._number}: {reason}")

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        while end - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if end - at < 9 + size:
                break
            self._frame(data[at + 3], data[at + 4], data[at + 9 : at + 9 + size])
            at += 9 + size
        self._rest = data[at:]

    def _frame(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == DATA:
            self._data(payload)
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self._transport.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind in (RESET, GOAWAY) or (kind == HEADERS and flags & END_STREAM):
            self._fail(f"the stream ended by a frame of type {kind}: {payload[:200]!r}")

    def _data(self, payload: bytes) -> None:
        self._parts.append(payload)
        self._have += len(payload)
        self._used += len(payload)
        if self._used > STREAM_WINDOW // 2:
            increment = struct.pack(">I", self._used)
            self._transport.write(frame(WINDOW_UPDATE, 0, 0, increment) + frame(WINDOW_UPDATE, 0, 1, increment))
            self._used = 0
        while self._have >= 5:
            if len(self._parts[0]) < 5:
                self._parts = [b"".join(self._parts)]
            size = 5 + int.from_bytes(self._parts[0][1:5], "big")
            if self._have < size:
                return
            data = b"".join(self._parts)
            self._parts, self._have = [data[size:]], self._have - size
            self._response(data[5:size])

    def _response(self, data: bytes) -> None:
        found = {number: data[begin:end] for number, begin, end in fields(data) if number in (4, 5)}
        type_url = found[4].decode()
        requests = [message(text(2, type_url) + text(6, found[5]))]
        if type_url == types.CLUSTER and not self._subscribed:
            self._subscribed = True
            requests += [message(self._shared.subscription(data)), message(text(2, types.ROUTE) + text(3, str(mesh_objects.PORT)))]
        self._transport.write(b"".join(requests))


def context(root: str, chain: str, key: str) -> ssl.SSLContext:
    """Mutual TLS with HTTP/2; files in PEM."""
    made = ssl.create_default_context(cadata=root)
    made.set_alpn_protocols(["h2"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "own.pem")
        file.write_text(chain + "\n" + key)
        made.load_cert_chain(file)
    return made


async def main() -> None:
    """Connect all proxies at once; end when the input does."""
    settings = json.loads(await asyncio.to_thread(sys.stdin.readline))
    host, _, port = settings["address"].rpartition(":")
    security = context(settings["root"], settings["chain"], settings["key"])
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[str] = loop.create_future()
    shared = Shared(HOST)
    made = (
        loop.create_connection(
            lambda number=number: SimulatedProxy(number, shared, failed),  # type: ignore[misc]
            host,
            int(port),
            ssl=security,
            server_hostname=HOST,
            ssl_handshake_timeout=60.0,
        )
        for number in range(settings["count"])
    )
    connecting = asyncio.gather(*made)
    input_ended = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    await asyncio.wait([input_ended, failed], return_when=asyncio.FIRST_COMPLETED)
    if failed.done() and not input_ended.done():
        raise SystemExit(failed.result())
    connecting.cancel()


if __name__ == "__main__":
    uvloop.run(main())
