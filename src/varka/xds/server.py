"""The aggregated discovery service over gRPC.

Messages to proxies are put together from resources that are already serialised. Each stream has a task that reads
requests and applies them to the stream's state; what the state says is due then is sent at once, without a task between.
Nothing is queued for a slow proxy: it gets the newest state when it has taken what was sent before.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format
from prometheus_client import Counter, Histogram

from varka.rpc.messages import CallError, Code
from varka.rpc.server import Call, Handler
from varka.xds import metrics, types
from varka.xds.encoding import Encoder
from varka.xds.resource_set import ResourceSet
from varka.xds.streams import Outcome, Request, Response, StreamState, shortened

log = logging.getLogger("varka.xds.ads")

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
FIRST_REQUEST_SECONDS = 30.0
WRITE_SECONDS = 60.0
MAX_REQUEST = 32 << 20


def _nothing() -> None:
    """What a client without a connection does."""


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
    ready: bool = False
    send_due: Callable[[], None] = _nothing
    """Sends what may be sent now; set by the server."""
    context: Any = None
    """Whatever the owner wants to remember of this proxy."""

    def publish(self, resources: Mapping[str, ResourceSet]) -> None:
        """From now on the proxy is to have these resources."""
        self.resources = resources
        self.ready = True
        self.send_due()

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


class DiscoveryServer:
    """Holds all streams. `handlers` is to be given to an RPC server."""

    def __init__(self, owner: Owner, now: Callable[[], float]) -> None:
        self.clients: dict[str, Client] = {}
        self._owner = owner
        self._now = now
        self._numbers = itertools.count(1)
        self._encoder = Encoder()

    def handlers(self) -> dict[str, Handler]:
        """Both methods of the service."""
        return {f"/{SERVICE}/StreamAggregatedResources": self._world, f"/{SERVICE}/DeltaAggregatedResources": self._delta}

    async def _world(self, call: Call) -> None:
        await self._serve(call, discovery_pb2.DiscoveryRequest, _world_request, delta=False)

    async def _delta(self, call: Call) -> None:
        await self._serve(call, discovery_pb2.DeltaDiscoveryRequest, _delta_request, delta=True)

    async def _serve(self, call: Call, message: Any, convert: Callable[[Any], Request], *, delta: bool) -> None:
        async with asyncio.timeout(FIRST_REQUEST_SECONDS):
            data = await call.read()
        if not call.identity:
            # Only now: some clients whose first write fails report that instead of the answer.
            metrics.REFUSED.inc()
            raise CallError(Code.UNAUTHENTICATED, "a client certificate of the mesh is needed")
        first = _parsed(data, message)
        if first is None:
            return
        node = _node(first.node)
        if not node.id:
            raise CallError(Code.INVALID_ARGUMENT, "the first request of a stream has to carry the node")
        state = StreamState(delta=delta)
        client = Client(id=f"{node.id}-{next(self._numbers)}", node=node, peer=call.identity, state=state, connected_at=self._now())
        self.clients[client.id] = client
        metrics.CONNECTED.labels(version=str(node.metadata.get("ISTIO_VERSION") or "unknown")).inc()
        writer = Writer(client, call, self._encoder, self._now)
        client.send_due = writer.send_due
        try:
            self._apply(client, convert(first))
            await self._owner.connected(client)
            while (received := _parsed(await call.read(), message)) is not None:
                self._apply(client, convert(received))
        except RefusedError as error:
            metrics.REFUSED.inc()
            log.warning("stream of %s refused: %s", node.id, error)
            raise CallError(Code.PERMISSION_DENIED, str(error)) from error
        finally:
            writer.stop()
            del self.clients[client.id]
            metrics.CONNECTED.labels(version=str(node.metadata.get("ISTIO_VERSION") or "unknown")).dec()
            self._owner.disconnected(client)

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
        client.send_due()


class Writer:
    """Sends a client what is due. While the client does not take what was sent, nothing more is."""

    def __init__(self, client: Client, call: Call, encoder: Encoder, now: Callable[[], float]) -> None:
        self._client = client
        self._call = call
        self._encoder = encoder
        self._now = now
        self._stalled: asyncio.Task[None] | None = None
        self._stopped = False

    def send_due(self) -> None:
        """Send what the stream's state says may be sent now."""
        client = self._client
        if not client.ready or self._stalled is not None or self._stopped:
            return
        try:
            taken = [self._send(response) for response in client.state.responses(client.resources)]
        except Exception as error:
            metrics.INTERNAL_ERRORS.inc()
            log.exception("stream of %s ended", client.node.id)
            self._call.end(CallError(Code.INTERNAL, f"the server failed: {type(error).__name__}"))
            return
        if not all(taken):
            self._stalled = asyncio.create_task(self._wait(), name=f"ads-writer:{client.id}")

    def _send(self, response: Response) -> bool:
        short = types.SHORT[response.type_url]
        head, tail = self._encoder.encode(response)
        started = self._now()
        taken = self._call.send(head, tail)
        size = len(head) + len(tail)
        if taken:
            metrics.SEND_TIME.observe(self._now() - started)
        _pushes(short).inc()
        _config_size(short).observe(size)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: %s %d resources, %d removed, %d bytes", self._client.node.id, short.upper(), len(response.resources), len(response.removed), size)
        return taken

    async def _wait(self) -> None:
        started = self._now()
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._call.drained()
        except TimeoutError:
            metrics.WRITE_TIMEOUT.inc()
            log.warning("%s does not take what is sent to it; the stream is closed", self._client.node.id)
            self._call.end(CallError(Code.UNAVAILABLE, "the proxy takes nothing"))
            return
        metrics.SEND_TIME.observe(self._now() - started)
        self._stalled = None
        self.send_due()

    def stop(self) -> None:
        """The stream has ended."""
        self._stopped = True
        self._client.send_due = _nothing
        if self._stalled is not None:
            self._stalled.cancel()


@cache
def _pushes(short: str) -> Counter:
    return metrics.PUSHES.labels(type=short)


@cache
def _config_size(short: str) -> Histogram:
    return metrics.CONFIG_SIZE.labels(type=short)


def _parsed(data: bytes | None, message: Any) -> Any:
    if data is None:
        return None
    try:
        return message.FromString(data)
    except Exception as error:
        log.warning("a request that is no %s: %s", message.DESCRIPTOR.name, error)
        raise CallError(Code.INVALID_ARGUMENT, f"the request is no {message.DESCRIPTOR.name}") from error


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
