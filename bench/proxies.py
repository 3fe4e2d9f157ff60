"""Simulated proxies: many delta-ADS streams over mutual TLS from one process, each with a connection of its own.

A proxy behaves as Envoy does: clusters and listeners by wildcard, endpoints by the clusters it was given, routes by
its listeners' port; it acknowledges each response, and gives the flow-control windows that Envoy gives. It speaks just
enough HTTP/2 for that and keeps nothing of a response but its end, where type and nonce are, so that this process costs as little as it
can of the cores that it shares with the control plane.

`python -m bench.proxies` reads one JSON object (address, files, count) from its input, and ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import struct
import sys
import tempfile
from collections.abc import Iterable
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
KEPT = 512
END = re.compile(rb"\x22.(type\.googleapis\.com/[\w.]+)(?:\x32[^\x2a]*)?\x2a\x08([0-9a-f]{8})$", re.DOTALL)
"""How a response ends: its type, names that were removed (none in these measurements), its nonce."""
ENABLE_PUSH, INITIAL_WINDOW = 2, 4
AT_ONCE = 200
"""Handshakes under way. Of more proxies, an Envoy that is not served within ten seconds would try again a little later."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def message(payload: bytes) -> bytes:
    """One gRPC message in DATA frames of the first stream."""
    return messages.data_frames(1, messages.prefix(len(payload)) + payload, 16_384)


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
        self._head = b""
        self._left = 0
        self._prefix = b""
        self._missing = 0
        self._tail = b""
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
        at, end = 0, len(data)
        while at < end:
            if self._left:
                stop = min(end, at + self._left)
                self._payload(data, at, stop)
                self._left -= stop - at
                at = stop
                continue
            head = self._head + data[at : at + 9 - len(self._head)]
            size = int.from_bytes(head[:3], "big")
            begin = at + 9 - len(self._head)
            if len(head) < 9 or (head[3] != DATA and end - begin < size):
                self._head += data[at:]
                return
            self._head = b""
            at = begin
            if head[3] == DATA:
                self._left = size
                self._taken(size)
            else:
                self._control(head[3], head[4], data[at : at + size])
                at += size

    def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind in (SETTINGS, PING) and not flags & ACK:
            self._transport.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind in (RESET, GOAWAY) or (kind == HEADERS and flags & END_STREAM):
            self._fail(f"the stream ended by a frame of type {kind}: {payload[:200]!r}")

    def _taken(self, size: int) -> None:
        self._used += size
        if self._used > STREAM_WINDOW // 2:
            increment = struct.pack(">I", self._used)
            self._transport.write(frame(WINDOW_UPDATE, 0, 0, increment) + frame(WINDOW_UPDATE, 0, 1, increment))
            self._used = 0

    def _payload(self, data: bytes, begin: int, end: int) -> None:
        while begin < end:
            if not self._missing:
                stop = min(end, begin + 5 - len(self._prefix))
                self._prefix += data[begin:stop]
                begin = stop
                if len(self._prefix) == 5:
                    self._missing, self._prefix = int.from_bytes(self._prefix[1:], "big"), b""
                continue
            stop = min(end, begin + self._missing)
            kept = KEPT if self._shared.endpoints else 1 << 30
            self._tail = (self._tail + data[max(begin, stop - kept) : stop])[-kept:]
            self._missing -= stop - begin
            begin = stop
            if not self._missing:
                tail, self._tail = self._tail, b""
                self._response(tail)

    def _response(self, data: bytes) -> None:
        found = END.search(data[-KEPT:])
        if found is None:
            self._fail(f"a response does not end with its type and nonce: {data[-KEPT:]!r}")
            return
        type_url, nonce = found[1].decode(), found[2]
        requests = [message(text(2, type_url) + text(6, nonce))]
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
    handshakes = asyncio.Semaphore(AT_ONCE)

    async def connect(number: int) -> None:
        async with handshakes:
            await loop.create_connection(
                lambda: SimulatedProxy(number, shared, failed), host, int(port), ssl=security, server_hostname=HOST, ssl_handshake_timeout=60.0
            )

    connecting = asyncio.gather(*(connect(number) for number in range(settings["count"])))
    input_ended = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    await asyncio.wait([input_ended, failed], return_when=asyncio.FIRST_COMPLETED)
    if failed.done() and not input_ended.done():
        raise SystemExit(failed.result())
    connecting.cancel()


if __name__ == "__main__":
    uvloop.run(main())
