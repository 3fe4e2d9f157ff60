from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.fakes import loopback
from tests.fakes.loopback import EnvoyAdminFake

from varka.agent import status_server
from varka.agent.envoy_admin import EnvoyAdmin
from varka.agent.issuance import Certificate
from varka.agent.netns import NetworkNamespace
from varka.agent.proxy_settings import ProxySettings
from varka.agent.status_server import StatusServer

CERTIFICATE = Certificate(
    chain_pem=b"",
    key_pem=b"secret",
    root_pem=b"",
    spiffe_id="spiffe://cluster.local/ns/shop/sa/web",
    serial="1",
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    not_after=datetime(2026, 1, 2, tzinfo=UTC),
)


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class Pod:
    """A status server beside a fake Envoy and an application that tests write."""

    settings: ProxySettings
    envoy: EnvoyAdminFake
    server: StatusServer
    client: aiohttp.ClientSession
    seen: list[web.Request]
    quits: int = 0

    async def get(self, path: str, **more: Any) -> tuple[int, str]:
        """Status and text of a request to port 15020 (here: a free one)."""
        async with self.client.get(f"http://127.0.0.1:{self.settings.status_port}{path}", **more) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str) -> int:
        async with self.client.post(f"http://127.0.0.1:{self.settings.status_port}{path}") as answer:
            return answer.status


@pytest.fixture
async def pod(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pod]:
    monkeypatch.setattr(status_server, "READY_HOLD_SECONDS", 0.05)
    monkeypatch.setattr(status_server, "READY_POLL_SECONDS", 0.001)
    seen: list[web.Request] = []

    async def application(request: web.Request) -> web.Response:
        seen.append(request)
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        if request.path == "/latin":
            return web.Response(body=b'own{name="sp\xe4t"} 1\n', content_type="text/plain")
        return web.Response(status=500 if request.path == "/broken" else 200, text="# TYPE own counter\nown 1")

    async with loopback.envoy_admin() as envoy, loopback.serving(application) as port, aiohttp.ClientSession() as client:
        probers = {
            "/app-health/web/livez": {"httpGet": {"path": "livez?x=1", "port": port, "httpHeaders": [{"name": "X-Mine", "value": "yes"}]}},
            "/app-health/web/readyz": {"httpGet": {"path": "/broken", "port": port}},
            "/app-health/web/startupz": {"tcpSocket": {"port": port}},
            "/app-health/moved/livez": {"httpGet": {"path": "/moved", "port": port}},
            "/app-health/gone/livez": {"httpGet": {"path": "/", "port": 1}},
            "/app-health/gone/readyz": {"tcpSocket": {"port": 1}},
            "/app-health/odd/livez": {"exec": {"command": ["true"]}},
        }
        settings = ProxySettings(
            type="sidecar",
            pod="web",
            namespace="shop",
            service_account="web",
            ip="127.0.0.1",
            status_port=free_port(),
            admin_port=envoy.port,
            app_probers=probers,
            prometheus={"scrape": "true", "port": str(port), "path": "/own"},
        )
        namespace = NetworkNamespace(None)
        admin = EnvoyAdmin(namespace, envoy.port)

        async def quit_() -> None:
            made.quits += 1

        server = StatusServer(settings, namespace, admin, quit_)
        made = Pod(settings=settings, envoy=envoy, server=server, client=client, seen=seen)
        await server.start()
        yield made
        await server.stop()
        await admin.close()


async def test_readiness_waits_for_certificate_and_envoy(pod: Pod) -> None:
    """503 with the reason until both are there."""
    assert await pod.get("/healthz/ready") == (503, "Envoy proxy is NOT ready: no certificate from istiod yet\n")
    pod.server.certificate = CERTIFICATE
    pod.envoy.live = False
    assert await pod.get("/healthz/ready") == (503, "Envoy proxy is NOT ready: Envoy answered 503 to GET /ready: INITIALIZING\n")
    pod.envoy.live = True
    assert await pod.get("/healthz/ready") == (200, "")


async def test_a_readiness_request_is_held_until_the_proxy_is_ready(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a pod is ready as soon as it can be, not at its next probe."""
    monkeypatch.setattr(status_server, "READY_HOLD_SECONDS", 10.0)
    asked = asyncio.create_task(pod.get("/healthz/ready"))
    await asyncio.sleep(0)
    pod.server.certificate = CERTIFICATE
    assert await asked == (200, "")


async def test_a_draining_proxy_is_not_ready(pod: Pod) -> None:
    """At once, whatever Envoy says."""
    pod.server.certificate, pod.server.draining = CERTIFICATE, True
    assert await pod.get("/healthz/ready") == (503, "Envoy proxy is NOT ready: the proxy is draining\n")


async def test_http_probes_reach_the_application(pod: Pod) -> None:
    """With the path and headers that the user wrote, and its answer back."""
    status, _ = await pod.get("/app-health/web/livez", headers={"User-Agent": "kube-probe/1.34"})
    assert status == 200
    assert (pod.seen[0].path_qs, pod.seen[0].headers["X-Mine"], pod.seen[0].headers["User-Agent"]) == ("/livez?x=1", "yes", "kube-probe/1.34")
    assert (await pod.get("/app-health/web/readyz"))[0] == 500


async def test_redirects_are_the_answer_of_a_probe(pod: Pod) -> None:
    """The kubelet decides what it thinks of one."""
    assert (await pod.get("/app-health/moved/livez", allow_redirects=False))[0] == 302
    assert [one.path for one in pod.seen] == ["/moved"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/app-health/web/startupz", 200),
        ("/app-health/gone/livez", 503),
        ("/app-health/gone/readyz", 503),
        ("/app-health/odd/livez", 500),
        ("/app-health/none/livez", 404),
    ],
)
async def test_other_probes(pod: Pod, path: str, status: int) -> None:
    """Connections; applications that do not answer; kinds and paths that are not known."""
    assert (await pod.get(path))[0] == status


async def test_metrics_are_merged(pod: Pod) -> None:
    """The agent's, Envoy's under Istio's names, and the application's, each ending with a line end."""
    pod.server.certificate = CERTIFICATE
    pod.envoy.prometheus = '# TYPE envoy_istio_requests_total counter\nenvoy_istio_requests_total{a="b"} 5\n'
    status, text = await pod.get("/stats/prometheus")
    assert status == 200
    assert f'istio_cert_expiry_seconds{{resource_name="default"}} {CERTIFICATE.not_after.timestamp()}\n' in text
    assert '\nistio_requests_total{a="b"} 5\n' in text
    assert text.endswith("# TYPE own counter\nown 1\n")
    assert pod.seen[0].path == "/own"


async def test_metrics_that_are_no_utf_8_do_not_cost_those_of_envoy(pod: Pod) -> None:
    """The application's mistake is shown as such, beside everything else."""
    pod.settings.prometheus["path"] = "/latin"  # type: ignore[index]
    pod.envoy.prometheus = 'envoy_istio_requests_total{a="b"} 5\n'
    assert await pod.get("/stats/prometheus") == (200, 'istio_requests_total{a="b"} 5\nown{name="sp\ufffdt"} 1\n')


async def test_metrics_of_envoy_alone(pod: Pod) -> None:
    """Envoy's page under Istio's names, without the agent's metrics and the application's."""
    pod.envoy.prometheus = 'envoy_istio_requests_total{labels="reporter=source|source_app=web"} 5\n'
    assert await pod.get("/stats/envoy") == (200, 'istio_requests_total{reporter="source",source_app="web"} 5\n')
    assert pod.seen == []


async def test_metrics_of_a_pod_that_has_only_just_begun(pod: Pod) -> None:
    """Without certificate there is no expiry."""
    status, text = await pod.get("/metrics")
    assert (status, "cert_expiry" in text) == (200, False)


async def test_the_pod_may_ask_to_quit(pod: Pod) -> None:
    """A job's main container does so when it is done."""
    assert [await pod.post("/quitquitquit"), await pod.post("/drain")] == [200, 200]
    assert pod.quits == 2


async def test_a_taken_port_is_an_error() -> None:
    """The keeper tries again."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = ProxySettings(type="sidecar", pod="w", namespace="n", service_account="s", ip="127.0.0.1", status_port=other.getsockname()[1])
        namespace = NetworkNamespace(None)
        admin = EnvoyAdmin(namespace, 1)
        server = StatusServer(settings, namespace, admin, lambda: asyncio.sleep(0))
        with pytest.raises(OSError, match="in use"):
            await server.start()
        await server.stop()
        await admin.close()
