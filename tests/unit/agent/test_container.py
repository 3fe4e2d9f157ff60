from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes import loopback, signing
from tests.fakes.clock import until
from tests.fakes.loopback import EnvoyAdminFake

from varka.agent import __main__ as program
from varka.agent import container, envoy_command
from varka.agent.dns import names
from varka.base.clock import SystemClock
from varka.base.errors import VarkaError

_ENVOY = """#!/bin/sh
touch {folder}/started
read line <{folder}/end
exit 5
"""


@pytest.fixture
async def envoy() -> AsyncIterator[EnvoyAdminFake]:
    async with loopback.envoy_admin() as fake:
        yield fake


@pytest.fixture
async def started(tmp_path: Path, envoy: EnvoyAdminFake, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Task[int]]:
    """A container whose Envoy is a script that ends with 5 when it is told to."""
    os.mkfifo(tmp_path / "end")
    script = tmp_path / "envoy"
    script.write_text(_ENVOY.format(folder=tmp_path))
    script.chmod(0o700)
    monkeypatch.setattr(envoy_command, "binary", lambda: str(script))
    async with signing.signing(SystemClock()) as service, loopback.dns({f"{signing.HOST}.cluster.local.": "127.0.0.1"}) as server:
        monkeypatch.setattr(names, "PORT", server.port)
        signing.pod_files(tmp_path, service.authority.root_pem)
        config = f'{{"discoveryAddress": "{signing.HOST}:{service.port}", "proxyAdminPort": {envoy.port}, "statusPort": {_free()}}}'
        environment = {"POD_NAME": "web", "POD_NAMESPACE": "shop", "PROXY_CONFIG": config}
        task = asyncio.create_task(container.run(["sidecar"], environment, tmp_path))
        yield task
        _end(tmp_path)
        await asyncio.gather(task, return_exceptions=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)


def _end(folder: Path) -> bool:
    """Whether the script was there to be told."""
    try:
        os.close(os.open(folder / "end", os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_envoy_runs_on_its_bootstrap_and_its_exit_code_is_the_container_s(started: asyncio.Task[int], tmp_path: Path) -> None:
    """The file is for nobody else."""
    await until((tmp_path / "started").exists)
    bootstrap = tmp_path / "etc/istio/proxy/envoy-rev.json"
    assert stat.S_IMODE(bootstrap.stat().st_mode) == 0o600
    await until(lambda: _end(tmp_path))
    assert await asyncio.wait_for(started, 10) == 5
    assert not (tmp_path / "var/run/secrets/workload-spiffe-uds/socket").exists()


async def test_sigterm_drains(started: asyncio.Task[int], tmp_path: Path, envoy: EnvoyAdminFake) -> None:
    """Envoy is asked over its admin interface, and not signalled."""
    await until((tmp_path / "started").exists)
    await until(lambda: signal.getsignal(signal.SIGTERM) != signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(envoy.quit.wait(), 10)
    assert envoy.posts == ["/drain_listeners?graceful&inboundonly", "/quitquitquit"]
    assert not started.done()


async def test_settings_that_cannot_be_read_end_the_container() -> None:
    """Before anything is started."""
    with pytest.raises(VarkaError, match="no POD_NAME"):
        await container.run(["sidecar"], {})


def test_the_program_says_how_it_is_used(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """2 for wrong usage, 1 with the reason for settings that cannot be read."""
    assert program.main([]) == 2
    assert capsys.readouterr().err.startswith("usage: python -m varka.agent --state DIR")
    monkeypatch.delenv("POD_NAME", raising=False)
    assert program.main(["proxy", "sidecar"]) == 1
    assert capsys.readouterr().err.startswith("error: the proxy's environment has no POD_NAME")
    assert program.main(["istio-iptables", "--skip-rule-apply"]) == 0
