from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from tests.fakes import loopback, signing
from tests.fakes.clock import TurnedClock, until
from tests.fakes.loopback import EnvoyAdminFake
from tests.fakes.signing import SigningFake

from varka.agent.dns import names
from varka.agent.proxy_settings import ProxySettings
from varka.agent.sidecar import ROOT_CHECK_SECONDS, Place, Sidecar
from varka.identity import authority, certificates


@dataclass(kw_only=True)
class Pod:
    """A sidecar beside a fake Envoy, with an authority that signs and a clock that tests turn."""

    root: Path
    clock: TurnedClock
    service: SigningFake
    envoy: EnvoyAdminFake
    sidecar: Sidecar
    certified: int = 0
    task: asyncio.Task[None] | None = None

    def on_certified(self) -> None:
        self.certified += 1

    async def start(self) -> None:
        """Run it until Envoy may start."""
        self.run()
        await until(lambda: self.certified or (self.task and self.task.done()))

    def run(self) -> None:
        self.task = asyncio.create_task(self.sidecar.run(self.on_certified))

    @property
    def serial(self) -> str:
        """Of the certificate in use."""
        return self.sidecar.certificate.serial if self.sidecar.certificate else ""

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


def settings(envoy: EnvoyAdminFake, service: SigningFake) -> ProxySettings:
    """Of a sidecar with a status port that nobody else has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ProxySettings(
        type="sidecar",
        pod="web-1",
        namespace="shop",
        service_account="web",
        ip="127.0.0.1",
        discovery_address=f"{signing.HOST}:{service.port}",
        status_port=port,
        admin_port=envoy.port,
    )


@pytest.fixture
async def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pod]:
    clock = TurnedClock(datetime.now(UTC))
    async with signing.signing(clock) as service, loopback.dns({f"{signing.HOST}.cluster.local.": "127.0.0.1"}) as server, loopback.envoy_admin() as envoy:
        monkeypatch.setattr(names, "PORT", server.port)
        signing.pod_files(tmp_path, service.authority.root_pem)
        sidecar = Sidecar(settings(envoy, service), Place(root=tmp_path, pid=None), clock)
        made = Pod(root=tmp_path, clock=clock, service=service, envoy=envoy, sidecar=sidecar)
        yield made
        await made.stop()


async def test_envoy_may_start_when_the_first_certificate_is_there(pod: Pod) -> None:
    """Not before; the socket for secrets is there by then."""
    pod.service.refusal = (grpc.StatusCode.UNAVAILABLE, "not yet")
    pod.run()
    await until(lambda: len(pod.service.tokens) == 1)
    assert (pod.certified, pod.sidecar.certificate) == (0, None)
    pod.service.refusal = None
    await until(lambda: pod.service.tokens and pod.clock.sleeping)
    await pod.clock.turn(1)
    await until(lambda: pod.certified)
    assert (pod.root / "var/run/secrets/workload-spiffe-uds/socket").is_socket()


async def test_a_certificate_is_replaced_with_a_quarter_of_its_life_left(pod: Pod) -> None:
    """Give or take a twentieth: not after 69 % of a day, but before 75 %."""
    await pod.start()
    first = pod.serial
    await pod.clock.turn(0.69 * 86400)
    assert (pod.serial, len(pod.service.tokens)) == (first, 1)
    for _ in range(200):
        await pod.clock.turn(0.06 * 86400 / 200)
        if len(pod.service.tokens) > 1:
            break
    await until(lambda: pod.serial != first)
    assert pod.certified == 1


async def test_an_authority_that_is_away_is_asked_with_growing_pauses(pod: Pod) -> None:
    """Meanwhile the certificate in use stays."""
    await pod.start()
    first = pod.serial
    pod.service.refusal = (grpc.StatusCode.UNAVAILABLE, "istiod is away")
    await pod.clock.turn(0.76 * 86400)
    await until(lambda: len(pod.service.tokens) == 2)
    assert pod.serial == first
    pod.service.refusal = None
    await until(lambda: pod.clock.sleeping)
    await pod.clock.turn(1)
    await until(lambda: pod.serial != first)


async def test_a_new_root_of_the_mesh_brings_a_new_certificate(pod: Pod) -> None:
    """Within the time between two looks at the ConfigMap."""
    await pod.start()
    first = pod.serial
    other = authority.self_signed("cluster.local", pod.clock.now())
    (pod.root / "var/run/secrets/istio/root-cert.pem").write_bytes(pod.service.authority.root_pem + other.root_pem)
    await pod.clock.turn(ROOT_CHECK_SECONDS + 1)
    await until(lambda: pod.serial != first)


async def test_the_roots_to_believe_are_the_issuer_s_and_the_mesh_s(pod: Pod) -> None:
    """Each once, the issuer's first."""
    await pod.start()
    other = authority.self_signed("cluster.local", pod.clock.now())
    certificate = pod.sidecar.certificate
    assert certificate is not None
    (pod.root / "var/run/secrets/istio/root-cert.pem").write_bytes(other.root_pem + pod.service.authority.root_pem)
    assert certificates.split(pod.sidecar._trust(certificate)) == [pod.service.authority.root_pem, other.root_pem]
    (pod.root / "var/run/secrets/istio/root-cert.pem").unlink()
    assert pod.sidecar._trust(certificate) == pod.service.authority.root_pem


async def test_a_drain_waits_for_open_connections(pod: Pod) -> None:
    """Listeners first; Envoy quits when the last inbound connection is closed."""
    await pod.start()
    pod.envoy.connections = [2, 1]
    await pod.sidecar.drain()
    await until(lambda: pod.envoy.posts and pod.clock.sleeping)
    assert pod.envoy.posts == ["/drain_listeners?graceful&inboundonly"]
    for _ in range(4):
        await pod.clock.turn(0.5)
        await until(lambda: pod.clock.sleeping or pod.envoy.quit.is_set())
    await until(pod.envoy.quit.is_set)
    assert pod.envoy.posts[1:] == ["/quitquitquit"]
    assert pod.clock.monotonic() < pod.sidecar.settings.termination_drain_duration


async def test_a_drain_has_an_end(pod: Pod) -> None:
    """Connections that stay open are cut after terminationDrainDuration."""
    await pod.start()
    pod.envoy.connections = [1] * 1000
    await pod.sidecar.drain()
    for _ in range(60):
        await until(lambda: pod.clock.sleeping or pod.envoy.quit.is_set())
        if pod.envoy.quit.is_set():
            break
        await pod.clock.turn(0.2)
    assert pod.envoy.posts[-1] == "/quitquitquit"
    assert pod.clock.monotonic() >= pod.sidecar.settings.termination_drain_duration


async def test_a_second_drain_has_no_effect(pod: Pod) -> None:
    """SIGTERM may come twice."""
    await pod.start()
    await pod.sidecar.drain()
    await pod.sidecar.drain()
    await until(lambda: pod.clock.sleeping)
    await pod.clock.turn(1)
    await until(pod.envoy.quit.is_set)
    assert pod.envoy.posts == ["/drain_listeners?graceful&inboundonly", "/quitquitquit"]


async def test_a_gateway_drains_all_its_listeners(pod: Pod) -> None:
    """It has no inbound ones."""
    gateway = replace(settings(pod.envoy, pod.service), type="router")
    sidecar = Sidecar(gateway, Place(root=pod.root, pid=None), pod.clock)
    await sidecar.drain()
    await until(lambda: pod.envoy.posts)
    assert pod.envoy.posts == ["/drain_listeners?graceful"]
    await sidecar._close()


async def test_stopping_leaves_no_socket(pod: Pod) -> None:
    """Neither for secrets nor on the status port."""
    await pod.start()
    await pod.stop()
    assert not (pod.root / "var/run/secrets/workload-spiffe-uds/socket").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", pod.sidecar.settings.status_port)) != 0


async def test_the_launch_carries_labels_and_identity(pod: Pod) -> None:
    """The bootstrap file of this pod, and Envoy's command on it; no key is written."""
    await pod.start()
    launch = pod.sidecar.launch()
    assert list(launch.files) == ["/etc/istio/proxy/envoy-rev.json"]
    text = launch.files["/etc/istio/proxy/envoy-rev.json"]
    assert "sidecar~127.0.0.1~web-1.shop~shop.svc.cluster.local" in text and '"version":"v1"' in text.replace(" ", "").replace("\n", "")
    assert "PRIVATE KEY" not in text
    assert launch.argv[0] == "/usr/bin/env" and "-c" in launch.argv


async def test_a_lifetime_of_seconds_is_renewed_in_time(pod: Pod) -> None:
    """Twelve seconds' certificates replace each other four times in a minute at least, and none expires."""
    pod.service.lifetime = timedelta(seconds=12)
    await pod.start()
    for _ in range(120):
        await until(lambda: pod.clock.sleeping)
        await pod.clock.turn(0.5)
        await until(lambda: pod.clock.sleeping)
        assert pod.sidecar.certificate is not None and pod.sidecar.certificate.not_after > pod.clock.now()
    assert 5 <= len(pod.service.tokens) <= 12
