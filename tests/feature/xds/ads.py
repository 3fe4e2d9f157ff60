"""A discovery server with real TLS and gRPC, whose resources a test sets, and clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from varka.base.clock import SystemClock
from varka.base.wire import WireResource
from varka.control.certificates.serving_certificate import ServingCertificate
from varka.control.push import Pusher
from varka.identity import authority, keys
from varka.identity.spiffe import SpiffeId
from varka.rpc.server import Server
from varka.xds import server, types

HOST = "istiod.istio-system.svc"


class FixedPipeline:
    """Implements `control.push.Pipeline`: every proxy gets what the test has set."""

    def __init__(self) -> None:
        self.sets: dict[str, dict[str, WireResource]] = {}
        self.refused: set[str] = set()
        self.broken: set[str] = set()

    def set(self, url: str, **bodies: str) -> None:
        """The resources of one type; equal bodies keep their objects."""
        old = self.sets.get(url, {})
        made = {name: WireResource(name=name, type_url=url, body=body.encode()) for name, body in bodies.items()}
        self.sets[url] = {name: old[name] if name in old and old[name] == one else one for name, one in made.items()}

    def refresh(self) -> None:
        """Nothing to compute."""

    async def settle(self) -> None:
        """Nothing to wait for."""

    def identify(self, client: server.Client) -> str:
        """The node ID, unless the test refuses it."""
        if client.node.id in self.refused:
            raise server.RefusedError("this certificate is not for this node")
        return client.node.id

    def resources(self, proxy: Any) -> Mapping[str, Mapping[str, WireResource]]:
        """What the test has set."""
        if proxy in self.broken:
            raise RuntimeError("cannot compute")
        return self.sets

    def secrets(self, proxy: Any, names: frozenset[str]) -> Sequence[WireResource]:
        """One body for every name."""
        return [WireResource(name=name, type_url=types.SECRET, body=b"s") for name in sorted(names)]


class Mesh:
    """The server with everything around it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.authority = authority.self_signed("cluster.local", self.now)
        self.pipeline = FixedPipeline()
        self.pusher = Pusher(self.pipeline, SystemClock(), after=0.005, at_most=0.05)
        self.discovery = server.DiscoveryServer(self.pusher, SystemClock().monotonic)
        self.server = Server(self.discovery.handlers(), largest_message=server.MAX_REQUEST)
        self.port = 0

    def push(self) -> None:
        """Tell the pusher that something has changed."""
        self.pusher.changed("config")

    def channel(self, account: str = "default", namespace: str = "default", *, certificate: bool = True) -> grpc.aio.Channel:
        """A connection with a workload's certificate, or without any."""
        key = keys.generate()
        uri = SpiffeId(f"spiffe://cluster.local/ns/{namespace}/sa/{account}")
        chain = self.authority.sign_workload(keys.signing_request(key, uri), uri, timedelta(hours=1), self.now)
        pair = {"private_key": keys.to_pem(key), "certificate_chain": "".join(chain).encode()} if certificate else {}
        credentials = grpc.ssl_channel_credentials(self.authority.root_pem, **pair)
        options = [("grpc.ssl_target_name_override", HOST), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        return grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options=options)


@asynccontextmanager
async def running() -> AsyncIterator[Mesh]:
    """A mesh that serves."""
    mesh = Mesh()
    certificate = ServingCertificate(alpn=("h2",), client_certificates=True)
    key = keys.generate()
    chain = mesh.authority.sign_server(key, [HOST], timedelta(days=1), mesh.now)
    certificate.use("".join(chain).encode(), keys.to_pem(key), mesh.authority.root_pem)
    mesh.port = await mesh.server.start("127.0.0.1", 0, certificate.context)
    pushing = asyncio.create_task(mesh.pusher.run())
    mesh.push()
    try:
        yield mesh
    finally:
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
        await mesh.server.stop()


class DeltaClient:
    """One delta stream. `held` is what the proxy has; unless told otherwise it accepts everything."""

    def __init__(self, channel: grpc.aio.Channel, name: str = "a") -> None:
        self.node = base_pb2.Node(id=f"sidecar~10.0.0.1~{name}.default~default.svc.cluster.local")
        self.call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        self.held: dict[str, dict[str, bytes]] = {}
        self._first = True

    async def send(self, url: str, **fields: Any) -> None:
        """One request."""
        node = self.node if self._first else None
        self._first = False
        await self.call.write(discovery_pb2.DeltaDiscoveryRequest(node=node, type_url=url, **fields))

    async def receive(self, *, accept: bool = True, seconds: float = 10.0) -> Any:
        """The next response, taken in and acknowledged."""
        response = await asyncio.wait_for(self.call.read(), seconds)
        if response is grpc.aio.EOF:
            raise EOFError(self.call.details())
        if accept:
            held = self.held.setdefault(response.type_url, {})
            held.update({one.name: one.resource.value for one in response.resources})
            for name in response.removed_resources:
                held.pop(name, None)
            await self.send(response.type_url, response_nonce=response.nonce)
        return response

    async def quiet(self, seconds: float = 0.2) -> bool:
        """Nothing arrives for a while."""
        read = asyncio.ensure_future(self.call.read())
        done, _ = await asyncio.wait((read,), timeout=seconds)
        if not done:
            read.cancel()
            await asyncio.gather(read, return_exceptions=True)
        return not done
