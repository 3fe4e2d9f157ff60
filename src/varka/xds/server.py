"""The aggregated discovery service over gRPC.

Messages to proxies are put together from resources that are already serialised, so handlers take and give raw
bytes. Each stream has a reader, which applies requests to the stream's state, and a writer, which sends what the
state says is due. Nothing is queued for a slow proxy: it gets the newest state when it is ready for it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from varka.xds import metrics, types
from varka.xds.resource_set import ResourceSet
from varka.xds.streams import Outcome, Request, Response, StreamState, shortened

log = logging.getLogger("varka.xds.ads")

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
FIRST_REQUEST_SECONDS = 30.0
WRITE_SECONDS = 60.0
MAX_REQUEST = 32 << 20
OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MAX_REQUEST),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.so_reuseport", 0),
)


class RefusedError(Exception):
    """The caller may not have what it asks for; the text is sent to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Who opens a stream, as it says itself: the node ID and the metadata of Envoy's bootstrap."""

    id: str
    cluster: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    locality: str = ""
    user_agent: str = ""


@dataclass(eq=False, kw_only=True)
class Client:
    """One connected proxy. Set its resources with `publish`."""

    id: str
    """Unique for the life of the process: node ID and a number."""
    node: Node
    peer: str
    """The verified identity (a SPIFFE ID)."""
    state: StreamState
    connected_at: float
    resources: Mapping[str, ResourceSet] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    context: Any = None
    """Whatever the owner wants to remember of this proxy."""

    def publish(self, resources: Mapping[str, ResourceSet]) -> None:
        """From now on the proxy is to have these resources."""
        self.resources = resources
        self.ready = True
        self.wake.set()

    @property
    def settled(self) -> bool:
        """Everything published has been sent and answered."""
        return self.ready and self.state.settled(self.resources)


class Owner(Protocol):
    """Who decides what proxies get."""

    async def connected(self, client: Client) -> None:
        """Check that `peer` may be `node`, and publish; RefusedError when not."""
        ...

    def answered(self, client: Client, type_url: str, outcome: Outcome) -> None:
        """A request came in and has been applied to the client's state."""
        ...

    def disconnected(self, client: Client) -> None:
        """The stream has ended."""
        ...


Identify = Callable[[str], str]
"""From the peer address of a call to the SPIFFE ID of its certificate, empty when it has none."""


class DiscoveryServer:
    """Holds all streams. `handlers` is to be added to a gRPC server."""

    def __init__(self, owner: Owner, identify: Identify, now: Callable[[], float]) -> None:
        self.clients: dict[str, Client] = {}
        self._owner = owner
        self._identify = identify
        self._now = now
        self._numbers = itertools.count(1)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Both methods of the service, without (de)serialisers."""
        methods = {
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self._world),
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self._delta),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _world(self, _: object, context: Any) -> None:
        await self._serve(context, discovery_pb2.DiscoveryRequest, _world_request, delta=False)

    async def _delta(self, _: object, context: Any) -> None:
        await self._serve(context, discovery_pb2.DeltaDiscoveryRequest, _delta_request, delta=True)

    async def _serve(self, context: Any, message: Any, convert: Callable[[Any], Request], *, delta: bool) -> None:
        peer = self._identify(context.peer())
        if not peer:
            metrics.REFUSED.inc()
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a client certificate of the mesh is needed")
        async with asyncio.timeout(FIRST_REQUEST_SECONDS):
            first = await self._read(context, message)
        if first is None:
            return
        node = _node(first.node)
        if not node.id:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request of a stream has to carry the node")
        client = Client(id=f"{node.id}-{next(self._numbers)}", node=node, peer=peer, state=StreamState(delta=delta), connected_at=self._now())
        self.clients[client.id] = client
        metrics.CONNECTED.labels(version=str(node.metadata.get("ISTIO_VERSION") or "unknown")).inc()
        try:
            self._apply(client, convert(first))
            await self._owner.connected(client)
            await self._converse(client, context, message, convert)
        except RefusedError as error:
            metrics.REFUSED.inc()
            log.warning("stream of %s refused: %s", node.id, error)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        finally:
            del self.clients[client.id]
            metrics.CONNECTED.labels(version=str(node.metadata.get("ISTIO_VERSION") or "unknown")).dec()
            self._owner.disconnected(client)

    async def _converse(self, client: Client, context: Any, message: Any, convert: Callable[[Any], Request]) -> None:
        writer = asyncio.create_task(self._write(client, context), name=f"ads-writer:{client.id}")
        reader = asyncio.create_task(self._receive(client, context, message, convert), name=f"ads-reader:{client.id}")
        try:
            done, _ = await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is not None and not isinstance(error, grpc.aio.BaseError | asyncio.InvalidStateError):
                    metrics.INTERNAL_ERRORS.inc()
                    log.error("stream of %s ended: %r", client.node.id, error)
        finally:
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)

    async def _receive(self, client: Client, context: Any, message: Any, convert: Callable[[Any], Request]) -> None:
        while True:
            received = await self._read(context, message)
            if received is None:
                return
            self._apply(client, convert(received))

    async def _read(self, context: Any, message: Any) -> Any:
        data = await context.read()
        if data is grpc.aio.EOF:
            return None
        try:
            return message.FromString(data)
        except Exception as error:
            log.warning("a request that is no %s: %s", message.DESCRIPTOR.name, error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the request is no {message.DESCRIPTOR.name}")
            return None

    def _apply(self, client: Client, request: Request) -> None:
        outcome = client.state.request(request)
        short = types.SHORT.get(request.type_url, "other")
        if outcome is Outcome.UNKNOWN_TYPE:
            metrics.UNKNOWN_TYPES.inc()
            if client.state.unknown_types.get(request.type_url) == 1:
                log.warning("%s asks for %s, which is not served", client.node.id, request.type_url)
        elif outcome is Outcome.STALE:
            metrics.STALE_NONCES.labels(type=short).inc()
        elif outcome is Outcome.NACK:
            metrics.REJECTS.labels(type=short).inc()
            log.warning("%s: %s rejected: %s", client.node.id, short.upper(), shortened(request.error or ""))
        elif outcome is Outcome.TOO_MANY:
            log.warning("%s subscribes to too many names of %s; the request is ignored", client.node.id, short)
        self._owner.answered(client, request.type_url, outcome)
        client.wake.set()

    async def _write(self, client: Client, context: Any) -> None:
        while True:
            await client.wake.wait()
            client.wake.clear()
            if not client.ready:
                continue
            for response in client.state.responses(client.resources):
                await self._send(client, context, response)

    async def _send(self, client: Client, context: Any, response: Response) -> None:
        short = types.SHORT[response.type_url]
        data = response.encode()
        started = self._now()
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await context.write(data)
        except TimeoutError:
            metrics.WRITE_TIMEOUT.inc()
            log.warning("%s does not take its %s; the stream is closed", client.node.id, short.upper())
            raise
        metrics.SEND_TIME.observe(self._now() - started)
        metrics.PUSHES.labels(type=short).inc()
        metrics.CONFIG_SIZE.labels(type=short).observe(len(data))
        log.debug("%s: %s %d resources, %d removed, %d bytes", client.node.id, short.upper(), len(response.resources), len(response.removed), len(data))


def _node(message: Any) -> Node:
    metadata: dict[str, Any] = {}
    if message.HasField("metadata"):
        metadata = json_format.MessageToDict(message.metadata)
    place = message.locality
    parts = [place.region, place.zone, place.sub_zone]
    while parts and not parts[-1]:
        parts.pop()
    agent = message.user_agent_name
    return Node(id=message.id, cluster=message.cluster, metadata=metadata, locality="/".join(parts), user_agent=agent)


def _world_request(message: Any) -> Request:
    return Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
        names=tuple(message.resource_names),
    )


def _delta_request(message: Any) -> Request:
    return Request(
        type_url=message.type_url,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
        names=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
    )
