"""The whole control plane against an API server in memory: sign, connect, follow a change."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import struct_pb2
from tests.feature.control.test_certificates import ReviewingApi
from tests.feature.xds.ads import DeltaClient

from varka.client import resources
from varka.client.api import Gvr
from varka.control.istiod import Istiod
from varka.control.settings import Settings
from varka.identity import certificate_service, keys
from varka.resources import crds
from varka.xds import types

HOST = "istiod.istio-system.svc"
VIRTUAL_SERVICES = Gvr("networking.istio.io", "v1", "virtualservices")
KIND = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}


def workload(app: str, ip: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Service, EndpointSlice and Pod."""
    labels = {"app": app, "version": "v1", "security.istio.io/tlsMode": "istio"}
    service = {"metadata": {"name": app}, "spec": {"clusterIP": "10.96.0." + ip[-1], "selector": {"app": app}, "ports": [{"name": "http", "port": 9080}]}}
    pod = {
        "metadata": {"name": f"{app}-1", "labels": labels},
        "spec": {"serviceAccountName": app, "nodeName": "varka", "containers": [{"name": app, "ports": [{"containerPort": 9080}]}]},
        "status": {"phase": "Running", "podIP": ip},
    }
    endpoint = {"addresses": [ip], "conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": f"{app}-1", "namespace": "default"}}
    slice_ = {
        "metadata": {"name": f"{app}-x", "labels": {"kubernetes.io/service-name": app}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 9080, "protocol": "TCP"}],
        "endpoints": [endpoint],
    }
    return service, slice_, pod


async def cluster() -> ReviewingApi:
    """Two workloads and Istio's definitions."""
    api = ReviewingApi()
    for name in ("default", "istio-system"):
        await api.create(resources.NAMESPACES, {"metadata": {"name": name, "labels": {"istio-injection": "enabled"}}})
    for definition in crds.definitions():
        await api.create(resources.CUSTOM_RESOURCE_DEFINITIONS, definition)
    for app, ip in (("reviews", "10.244.0.1"), ("ratings", "10.244.0.2")):
        service, slice_, pod = workload(app, ip)
        await api.create(resources.SERVICES, service, "default")
        await api.create(resources.ENDPOINT_SLICES, slice_, "default")
        await api.create(resources.PODS, pod, "default")
    return api


class Running:
    """A control plane and its API."""

    def __init__(self, istiod: Istiod, api: ReviewingApi) -> None:
        self.istiod = istiod
        self.api = api

    async def channel(self, app: str) -> grpc.aio.Channel:
        """A connection with the certificate that the control plane itself has signed."""
        root = (self.api.one(resources.CONFIGMAPS, "istio-ca-root-cert", "default") or {})["data"]["root-cert.pem"].encode()
        options = [("grpc.ssl_target_name_override", HOST), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        address, key = f"127.0.0.1:{self.istiod.ports['secure']}", keys.generate()
        async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(root), options=options) as channel:
            method = channel.unary_unary(
                certificate_service.METHOD,
                request_serializer=certificate_service.IstioCertificateRequest.SerializeToString,
                response_deserializer=certificate_service.IstioCertificateResponse.FromString,
            )
            request = certificate_service.IstioCertificateRequest(csr=keys.signing_request(key, "spiffe://x/ns/a/sa/b").decode())
            answer = await method(request, metadata=(("authorization", f"Bearer good:default:{app}:{app}-1"),), timeout=10)
        credentials = grpc.ssl_channel_credentials(root, keys.to_pem(key), "".join(answer.cert_chain).encode())
        return grpc.aio.secure_channel(address, credentials, options=options)

    async def proxy(self, app: str, ip: str) -> DeltaClient:
        """A connected proxy that has received everything once."""
        client = DeltaClient(await self.channel(app))
        metadata = struct_pb2.Struct()
        metadata.update({"SERVICE_ACCOUNT": app, "NAMESPACE": "default", "ISTIO_VERSION": "1.28.2"})
        client.node = base_pb2.Node(id=f"sidecar~{ip}~{app}-1.default~default.svc.cluster.local", metadata=metadata)
        await client.send(types.CLUSTER)
        await client.receive()
        await client.send(types.ENDPOINT, resource_names_subscribe=["outbound|9080||ratings.default.svc.cluster.local"])
        await client.receive()
        await client.send(types.LISTENER)
        await client.receive()
        await client.send(types.ROUTE, resource_names_subscribe=["9080"])
        await client.receive()
        return client


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    """A control plane on free ports of loopback."""
    api = await cluster()
    istiod = Istiod(api, Settings(bind="127.0.0.1", secure_port=0, monitoring_port=0, webhook_port=0))
    task = asyncio.create_task(istiod.run())
    started = asyncio.create_task(istiod.started.wait())
    await asyncio.wait((task, started), timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert istiod.started.is_set(), task
    async with asyncio.timeout(10):
        while not (istiod.pusher.ready and api.one(resources.CONFIGMAPS, "istio-ca-root-cert", "default")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    yield Running(istiod, api)
    task.cancel()
    await asyncio.gather(task, started, return_exceptions=True)


async def test_proxy_gets_what_istio_would_give_it() -> None:
    """Names to the letter."""
    async with running() as found:
        client = await found.proxy("reviews", "10.244.0.1")
        assert {"outbound|9080||ratings.default.svc.cluster.local", "inbound|9080||", "BlackHoleCluster", "PassthroughCluster"} <= set(
            client.held[types.CLUSTER]
        )
        assert {"virtualInbound", "virtualOutbound", "0.0.0.0_9080"} <= set(client.held[types.LISTENER])
        assert set(client.held[types.ROUTE]) == {"9080"}


async def test_virtual_service_reaches_the_proxy() -> None:
    """Only the route that it concerns is sent."""
    async with running() as found:
        client = await found.proxy("reviews", "10.244.0.1")
        rule = {"match": [{"uri": {"exact": "/x"}}], "route": [{"destination": {"host": "ratings"}}], "timeout": "3s"}
        spec = {"hosts": ["ratings"], "http": [rule]}
        await found.api.create(VIRTUAL_SERVICES, {**KIND, "metadata": {"name": "ratings"}, "spec": spec}, "default")
        response = await client.receive()
        assert response.type_url == types.ROUTE
        routes = route_pb2.RouteConfiguration.FromString(client.held[types.ROUTE]["9080"])
        host = next(one for one in routes.virtual_hosts if one.name == "ratings.default.svc.cluster.local:9080")
        assert host.routes[0].match.path == "/x" and host.routes[0].route.timeout.seconds == 3


async def test_new_endpoint_reaches_the_proxy() -> None:
    """As a change of endpoints only."""
    async with running() as found:
        client = await found.proxy("reviews", "10.244.0.1")
        (endpoint,) = (found.api.one(resources.ENDPOINT_SLICES, "ratings-x", "default") or {})["endpoints"]
        found.api.change(resources.ENDPOINT_SLICES, "ratings-x", "default", endpoints=[endpoint, {**endpoint, "addresses": ["10.244.0.9"]}])
        response = await client.receive()
        assert response.type_url == types.ENDPOINT
        assert await client.quiet()


async def test_certificate_of_another_workload_is_refused() -> None:
    """Ratings cannot have the configuration of reviews."""
    async with running() as found:
        client = DeltaClient(await found.channel("ratings"))
        client.node = base_pb2.Node(id="sidecar~10.244.0.1~reviews-1.default~default.svc.cluster.local")
        await client.send(types.CLUSTER)
        assert await client.call.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_debug_pages_show_the_proxy() -> None:
    """As `istioctl proxy-status` reads them."""
    async with running() as found:
        await found.proxy("reviews", "10.244.0.1")
        await asyncio.sleep(0.1)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{found.istiod.ports['monitoring']}") as session:
            async with session.get("/debug/syncz") as answer:
                (entry,) = await answer.json()
            async with session.get("/debug/config_dump?proxyID=reviews-1.default") as answer:
                dump = await answer.json()
        assert entry["proxy"] == "reviews-1.default" and entry["istio_version"] == "1.28.2"
        assert {kind: entry["types"][kind] for kind in ("CDS", "LDS", "EDS", "RDS")} == dict.fromkeys(("CDS", "LDS", "EDS", "RDS"), "SYNCED")
        kinds = {config["type_url"].rpartition(".")[2] for config in dump["configs"]}
        assert kinds == {"Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"}


async def test_malformed_resource_gets_a_condition_and_harms_nobody() -> None:
    """The resource says what is wrong with it."""
    async with running() as found:
        client = await found.proxy("reviews", "10.244.0.1")
        await found.api.create(VIRTUAL_SERVICES, {**KIND, "metadata": {"name": "bad"}, "spec": {"hosts": ["ratings"], "http": 5}}, "default")
        async with asyncio.timeout(10):
            while not (found.api.one(VIRTUAL_SERVICES, "bad", "default") or {}).get("status"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        status = (found.api.one(VIRTUAL_SERVICES, "bad", "default") or {})["status"]
        assert status["conditions"][0]["type"] == "Accepted" and status["conditions"][0]["status"] == "False"
        assert await client.quiet()


@pytest.mark.parametrize("path", ["/inject", "/validate"])
async def test_webhooks_are_served_with_the_meshs_certificate(path: str) -> None:
    """The API server can trust them by the root in `caBundle`."""
    async with running() as found:
        root = (found.api.one(resources.CONFIGMAPS, "istio-ca-root-cert", "default") or {})["data"]["root-cert.pem"]
        context = ssl.create_default_context(cadata=root)
        body = {"request": {"uid": "1", "namespace": "default", "object": {"metadata": {}, "spec": {"containers": [{"name": "a"}]}}}}
        url = f"https://127.0.0.1:{found.istiod.ports['webhook']}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body, ssl=context, server_hostname=HOST) as answer:
            assert (await answer.json())["response"]["allowed"]
