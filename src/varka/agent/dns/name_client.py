"""Fetches the table of names from istiod, over a discovery stream of the agent's own, and follows its changes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from varka.agent import envoy_command, rootfs
from varka.agent.dns import names
from varka.agent.issuance import RESOLV_CONF, Certificate
from varka.agent.proxy_settings import ProxySettings
from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.envoy import bootstrap, name_tables
from varka.model.name_table import Name

log = logging.getLogger("varka.agent.dns")

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
KEEPALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000), ("grpc.max_receive_message_length", 64 << 20)]


class NameClient:
    """One proxy's table. `use` is told of every new one."""

    def __init__(self, settings: ProxySettings, root: Path, use: Callable[[Mapping[str, Name]], None], clock: Clock) -> None:
        self._settings = settings
        self._root = root
        self._use = use
        self._clock = clock

    async def run(self, certificate: Callable[[], Certificate]) -> None:
        """Follow the table until cancelled; a stream that ends is opened again, with the certificate of that time."""
        attempt = 0
        while True:
            try:
                async for table in self._follow(certificate()):
                    self._use(table)
                    attempt = 0
                reason = "istiod ended the stream"
            except grpc.aio.AioRpcError as error:
                reason = f"{error.code().name.lower()}: {error.details()}"
            except (VarkaError, OSError, ValueError) as error:
                reason = str(error)
            wait = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
            attempt += 1
            log.info("%s/%s: no table of names (next attempt in %.1f s): %s", self._settings.namespace, self._settings.pod, wait, reason)
            await self._clock.sleep(wait)

    async def _follow(self, certificate: Certificate) -> AsyncIterator[dict[str, Name]]:
        host, port = self._settings.discovery
        credentials = grpc.ssl_channel_credentials(certificate.root_pem, certificate.key_pem, certificate.chain_pem)
        address = await names.address(self._settings.discovery_ip or host, names.parse(rootfs.inside(self._root, RESOLV_CONF).read_text(errors="replace")))
        options = [("grpc.ssl_target_name_override", host), ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1), *KEEPALIVE]
        async with grpc.aio.secure_channel(f"ipv4:{address}:{port}", credentials, options=options) as channel:
            method = channel.stream_stream(
                METHOD,
                request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
                response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
            )
            stream = method()
            first = discovery_pb2.DeltaDiscoveryRequest(type_url=name_tables.TYPE_URL)
            json_format.ParseDict(self._node(), first.node)
            await stream.write(first)
            while (response := await stream.read()) is not grpc.aio.EOF:
                for resource in response.resources:
                    yield name_tables.parse(resource.resource.value)
                await stream.write(discovery_pb2.DeltaDiscoveryRequest(type_url=name_tables.TYPE_URL, response_nonce=response.nonce))

    def _node(self) -> dict[str, object]:
        """The node of the proxy, with the word by which istiod tells its agent from Envoy."""
        found = bootstrap.node(envoy_command.of_pod(self._settings, self._root))
        metadata = found["metadata"]
        assert isinstance(metadata, dict)
        return {**found, "metadata": {**metadata, "GENERATOR": "nds"}}
