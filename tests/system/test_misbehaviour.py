"""What one proxy, one client or one resource does wrong is logged, counted and shown, and nobody else feels it."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.feature.xds.ads import DeltaClient
from tests.system.clusters import Cluster, eventually
from tests.system.meshes import Mesh

from varka.identity import keys
from varka.identity.authority import Authority
from varka.identity.spiffe import SpiffeId
from varka.xds import types

HOST = "istiod.istio-system.svc"
DOOR = """
apiVersion: v1
kind: Service
metadata: {name: door, namespace: istio-system}
spec: {type: LoadBalancer, selector: {app: istiod}, ports: [{name: tls, port: 15012, targetPort: 15012}]}
"""
REFUSED = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: impossible, namespace: faults}
spec:
  workloadSelector: {labels: {app: client}}
  configPatches:
    - applyTo: HTTP_FILTER
      match: {context: SIDECAR_OUTBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
      patch:
        operation: INSERT_FIRST
        value:
          name: envoy.filters.http.lua
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code: {inline_string: "this is no Lua (("}
"""
ANSWER = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: answer, namespace: faults}
spec: {hosts: [httpbin], http: [{match: [{uri: {exact: /news}}], fault: {abort: {httpStatus: 299, percentage: {value: 100}}}, route: [{destination: {host: httpbin}}]}, {route: [{destination: {host: httpbin}}]}]}
"""
MALFORMED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: malformed, namespace: faults}
spec: {hosts: [other.example.com], http: [{match: [{uri: {regex: "(("}}], route: [{destination: {host: httpbin}}]}]}
"""
CONNECTS = 1000
AT_ONCE = 25


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """One mesh for this module; its control plane can be reached from this machine."""
    cluster = Cluster("misbehaved")
    try:
        cluster.up()
        made = Mesh(cluster)
        made.install()
        cluster.apply(DOOR)
        yield made
    finally:
        cluster.destroy()


def metric(mesh: Mesh, name: str) -> float:
    """The sum of a metric of the control plane over its labels."""
    text = mesh.cluster.kubectl("exec", "-n", "istio-system", "deploy/istiod", "--", "curl", "-s", "http://127.0.0.1:15014/metrics").stdout
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def log(mesh: Mesh) -> str:
    """The control plane's log."""
    return mesh.cluster.kubectl("logs", "-n", "istio-system", "deploy/istiod").stdout


def news_arrive(mesh: Mesh, status: str = "299") -> None:
    """A change made now reaches the gateway's and the client's proxies."""
    mesh.cluster.apply(ANSWER.replace("299", status))
    eventually(lambda: mesh.code("/news") == status, what="the newest route")
    mesh.cluster.kubectl("delete", "virtualservice", "-n", "faults", "answer")
    eventually(lambda: mesh.code("/news") == "404", what="the route's end")


def test_a_proxy_that_refuses_its_configuration(mesh: Mesh) -> None:
    """It keeps what it had; proxy-status and the log name it with Envoy's reason, the counter counts, and others get their news."""
    before = metric(mesh, "pilot_total_xds_rejects")
    client = mesh.pods("client")[0]["metadata"]["name"]
    mesh.cluster.kubectl("delete", "validatingwebhookconfiguration", "--all")
    with mesh.requests():
        mesh.cluster.apply(REFUSED)
        row = eventually(lambda: [line for line in mesh.proxies() if line.startswith(f"{client}.faults") and "ERROR" in line], what="an ERROR in proxy-status")
        assert [line for line in mesh.proxies() if "ERROR" in line] == row
        assert re.search(rf"{client}\.faults\S*: LDS rejected: .*[Ll]ua", log(mesh))
        assert metric(mesh, "pilot_total_xds_rejects") > before
        news_arrive(mesh)
        mesh.cluster.kubectl("delete", "envoyfilter", "-n", "faults", "impossible")
        eventually(mesh.synced, what="a mesh without errors")


def test_a_malformed_resource(mesh: Mesh) -> None:
    """What the webhook did not see gets a condition, is passed over, and the rest of the configuration goes on changing."""
    mesh.cluster.kubectl("delete", "validatingwebhookconfiguration", "--all")
    with mesh.requests():
        mesh.cluster.apply(MALFORMED)

        def told() -> list[Any]:
            conditions = (mesh.cluster.get("virtualservice", "-n", "faults", "malformed").get("status") or {}).get("conditions") or []
            return [one for one in conditions if one["status"] == "False" and "((" in one["message"]]

        assert eventually(told, what="the condition")
        news_arrive(mesh, "298")
    mesh.cluster.kubectl("delete", "virtualservice", "-n", "faults", "malformed")


class Door:
    """Connections to the control plane from this machine, as the workload faults/default."""

    def __init__(self, mesh: Mesh) -> None:
        found = {name: base64.b64decode(text) for name, text in mesh.cluster.get("secret", "-n", "istio-system", "istio-ca-secret")["data"].items()}
        signer = Authority(certificate_pem=found["ca-cert.pem"], key_pem=found["ca-key.pem"], root_pem=found["root-cert.pem"])
        key, uri = keys.generate(), SpiffeId("spiffe://cluster.local/ns/faults/sa/default")
        chain = signer.sign_workload(keys.signing_request(key, uri), uri, timedelta(hours=1), datetime.now(UTC))
        self.credentials = grpc.ssl_channel_credentials(signer.root_pem, keys.to_pem(key), "".join(chain).encode())
        address = eventually(lambda: (mesh.cluster.get("service", "-n", "istio-system", "door")["status"]["loadBalancer"].get("ingress") or [{}])[0].get("ip"))
        self.target = f"{address}:15012"

    @asynccontextmanager
    async def stream(self, name: str = "stranger") -> AsyncIterator[DeltaClient]:
        """A discovery stream of a proxy that has no pod."""
        options = [("grpc.ssl_target_name_override", HOST), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        async with grpc.aio.secure_channel(self.target, self.credentials, options=options) as channel:
            made = DeltaClient(channel, name)
            made.node.id = f"sidecar~10.244.77.1~{name}.faults~faults.svc.cluster.local"
            yield made


def test_clients_that_ask_for_nonsense(mesh: Mesh) -> None:
    """Unknown types, stale nonces, no subscription, bytes that are no message, another's name: counted, refused where need be, without effect on others."""
    door = Door(mesh)
    names = ("pilot_xds_unknown_types", "pilot_xds_expired_nonce", "pilot_total_xds_rejects", "pilot_xds_refused_streams")
    before = {name: metric(mesh, name) for name in names}

    async def misbehave() -> None:
        async with door.stream("unknown") as client:
            await client.send("type.googleapis.com/of.Nothing", resource_names_subscribe=["x"])
            await client.send(types.CLUSTER)
            assert (await client.receive()).type_url == types.CLUSTER
            await client.send(types.CLUSTER, response_nonce="stale", resource_names_subscribe=["also-unknown"])
            await client.send(types.LISTENER)
            assert (await client.receive(accept=False)).type_url == types.LISTENER
        async with door.stream("silent") as client:
            await client.send("")
            assert await client.quiet()
        async with door.stream("refusing") as client:
            await client.send(types.CLUSTER)
            refusing = asyncio.create_task(refuse(client))
            shown = lambda: [row for row in mesh.proxies() if row.startswith("refusing.faults") and "ERROR" in row]  # noqa: E731
            await asyncio.to_thread(eventually, shown, what="an ERROR in proxy-status")
            refusing.cancel()
        async with door.stream() as client:
            client.node.id = "sidecar~10.244.77.1~stranger.default~default.svc.cluster.local"
            await client.send(types.CLUSTER)
            with pytest.raises((EOFError, grpc.aio.AioRpcError)):
                await client.receive()

    async def refuse(client: DeltaClient) -> None:
        while True:
            response = await client.receive(accept=False, seconds=60)
            await client.send(types.CLUSTER, response_nonce=response.nonce, error_detail={"code": 13, "message": "I do not like it"})

    with mesh.requests():
        asyncio.run(asyncio.wait_for(misbehave(), 90))
        news_arrive(mesh, "297")
    assert {name for name in names if metric(mesh, name) <= before[name]} == set()
    for line in (
        "asks for type.googleapis.com/of.Nothing, which is not served",
        "CDS rejected: I do not like it",
        "the certificate is for faults/default, the node is default/",
    ):
        assert line in log(mesh)
    eventually(mesh.synced, what="a mesh without strangers")


def test_a_thousand_connects_and_drops(mesh: Mesh) -> None:
    """In the middle of a TLS handshake, after the first request, without reading: afterwards only the real proxies are connected."""
    door = Door(mesh)
    turn = asyncio.Semaphore(AT_ONCE)

    async def once(number: int) -> None:
        async with turn:
            if number % 4 == 0:
                host, port = door.target.split(":")
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.write(b"\x16\x03\x01\x02\x00\x01")
                    writer.close()
                return
            with suppress(grpc.aio.AioRpcError, asyncio.CancelledError, asyncio.InvalidStateError):
                async with door.stream(f"dropper-{number}") as client:
                    await client.send(types.CLUSTER)
                    if number % 2:
                        await client.receive(accept=False)

    async def all_of_them() -> None:
        await asyncio.gather(*(once(number) for number in range(CONNECTS)))

    with mesh.requests():
        asyncio.run(asyncio.wait_for(all_of_them(), 200))
        news_arrive(mesh, "296")
    eventually(lambda: metric(mesh, "pilot_xds") == 4 and mesh.synced(), what="the four proxies and nobody else")
    assert all(status["restartCount"] == 0 for pod in mesh.pods("istiod", "istio-system") for status in pod["status"]["containerStatuses"])
