from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fakes import loopback
from tests.fakes.loopback import EnvoyAdminFake

from varka.agent.envoy_admin import EnvoyAdmin
from varka.agent.netns import NetworkNamespace
from varka.base.errors import VarkaError


@pytest.fixture
async def envoy() -> AsyncIterator[EnvoyAdminFake]:
    async with loopback.envoy_admin() as fake:
        yield fake


@pytest.fixture
async def admin(envoy: EnvoyAdminFake) -> AsyncIterator[EnvoyAdmin]:
    made = EnvoyAdmin(NetworkNamespace(None), envoy.port)
    yield made
    await made.close()


async def test_a_proxy_is_ready_with_clusters_listeners_and_workers(admin: EnvoyAdmin) -> None:
    """Then there is no reason against it."""
    assert await admin.unready_reason() == ""


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        ("", "config not received from XDS server: no cds and no lds update yet"),
        (
            "cluster_manager.cds.update_success: 3\nlistener_manager.lds.update_success: 0\nlistener_manager.workers_started: 1\n",
            "config not received from XDS server: no lds update yet",
        ),
        (loopback.READY.replace("workers_started: 1", "workers_started: 0"), "workers have not yet started"),
    ],
)
async def test_what_is_missing_is_named(admin: EnvoyAdmin, envoy: EnvoyAdminFake, stats: str, said: str) -> None:
    """In Istio's words, for the reader of `kubectl describe`."""
    envoy.ready_stats = stats
    assert await admin.unready_reason() == said


async def test_an_envoy_that_is_not_live_is_not_ready(admin: EnvoyAdmin, envoy: EnvoyAdminFake) -> None:
    """Its own answer is passed on."""
    envoy.live = False
    assert await admin.unready_reason() == "Envoy answered 503 to GET /ready: INITIALIZING"


async def test_only_connections_of_the_traffic_count(admin: EnvoyAdmin, envoy: EnvoyAdminFake) -> None:
    """Workers' shares and the admin's own are left out, outbound ones on demand."""
    envoy.connections = [3, 3]
    assert await admin.active_connections(inbound_only=True) == 3
    assert await admin.active_connections(inbound_only=False) == 10


async def test_an_envoy_that_is_away_is_a_failure_with_a_hint() -> None:
    """Where nobody listens."""
    admin = EnvoyAdmin(NetworkNamespace(None), 1)
    with pytest.raises(VarkaError, match=r"Envoy does not answer on its admin port.*see the log of the container istio-proxy"):
        await admin.post("/quitquitquit")
    await admin.close()
