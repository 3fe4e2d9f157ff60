"""Simulated proxies: many delta-ADS streams over mutual TLS from one process, each with a connection of its own.

A proxy behaves as Envoy does: clusters and listeners by wildcard, endpoints by the clusters it was given, routes by
its listeners' port; it acknowledges each response. It keeps nothing but names, so that this process costs as little
as it can of the two cores that it shares with the control plane.

`python -m bench.proxies` reads one JSON object (address, files, count) from its input, and ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
import grpc.aio
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import struct_pb2

from bench import mesh_objects
from varka.xds import types

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
HOST = "istiod.istio-system.svc"


class SimulatedProxy:
    """One stream."""

    def __init__(self, number: int, call: Any) -> None:
        self._call = call
        self._subscribed = False
        metadata = struct_pb2.Struct()
        metadata.update({"NAMESPACE": mesh_objects.NAMESPACE, "ISTIO_VERSION": "1.28.2", "SERVICE_ACCOUNT": "s0"})
        which = number + 10
        name = f"{number}~{mesh_objects.NAMESPACE}"
        node = f"sidecar~10.{200 + which // 62500}.{which // 250 % 250}.{which % 250 + 1}~client-{name.replace('~', '.')}~{mesh_objects.NAMESPACE}.svc.cluster.local"
        self._node = base_pb2.Node(id=node, metadata=metadata)

    async def _send(self, type_url: str, **fields: Any) -> None:
        await self._call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, **fields).SerializeToString())

    async def run(self) -> None:
        """Converse until the stream ends."""
        await self._send(types.CLUSTER, node=self._node)
        await self._send(types.LISTENER)
        while True:
            data = await self._call.read()
            if data is grpc.aio.EOF:
                return
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            await self._send(response.type_url, response_nonce=response.nonce)
            if response.type_url == types.CLUSTER and not self._subscribed:
                self._subscribed = True
                names = [resource.name for resource in response.resources if resource.name.startswith("outbound|")]
                await self._send(types.ENDPOINT, resource_names_subscribe=names)
                await self._send(types.ROUTE, resource_names_subscribe=[str(mesh_objects.PORT)])


async def main() -> None:
    """Connect all proxies at once; end when the input does."""
    settings = json.loads(await asyncio.to_thread(sys.stdin.readline))
    options = [
        ("grpc.ssl_target_name_override", HOST),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", -1),
    ]
    credentials = grpc.ssl_channel_credentials(*(settings[name].encode() for name in ("root", "key", "chain")))
    channels = [grpc.aio.secure_channel(settings["address"], credentials, options=options) for _ in range(settings["count"])]
    streams = [channel.stream_stream(METHOD)() for channel in channels]
    tasks = [asyncio.create_task(SimulatedProxy(number, stream).run()) for number, stream in enumerate(streams)]
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done() and task.exception() is not None:
            print(f"a proxy failed: {task.exception()!r}", file=sys.stderr)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
