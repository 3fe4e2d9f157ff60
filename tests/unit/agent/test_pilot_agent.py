from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import loopback
from tests.fakes.loopback import EnvoyAdminFake

import varka
from varka.agent import pilot_agent

SOURCE = str(Path(varka.__path__[0]).parent)
PROGRAM = Path(SOURCE) / "varka" / "agent" / "pilot_agent.py"
LIMIT = 10.0
_PROXY = """
import sys
sys.path.insert(0, sys.argv[1])
from varka.agent import pilot_agent
pilot_agent.AGENT_SOCKET = sys.argv[2]
pilot_agent.proxy(["sidecar", "--domain", "x"])
"""


class Agent:
    """A node agent that answers what a test gives it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer: dict[str, Any] | None = None
        self.asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.words: asyncio.Queue[bytes] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        self.asked.put_nowait(json.loads(line))
        if self.answer is not None:
            writer.write(json.dumps(self.answer).encode() + b"\n")
            while word := await reader.readline():
                self.words.put_nowait(word)
        writer.close()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    made = Agent(tmp_path / "agent.sock")
    await made.start()
    yield made
    await made.stop()


async def register(agent: Agent) -> asyncio.subprocess.Process:
    """A container that becomes what the agent says."""
    command = [sys.executable, "-I", "-S", "-c", _PROXY, SOURCE, str(agent.path)]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env={"POD_NAME": "web", "PATH": "/usr/bin:/bin"})


async def test_a_proxy_container_registers_and_becomes_what_the_agent_says(agent: Agent, tmp_path: Path) -> None:
    """Its arguments and environment go to the agent; files are written for nobody else; the exit code is Envoy's."""
    target = tmp_path / "etc" / "envoy.json"
    agent.answer = {"files": {str(target): "{}"}, "argv": ["/bin/sh", "-c", "echo up; exit 7"]}
    process = await register(agent)
    out, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    asked = await asyncio.wait_for(agent.asked.get(), LIMIT)
    assert (asked["args"], asked["env"]["POD_NAME"]) == (["sidecar", "--domain", "x"], "web")
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("{}", 0o600)
    assert (out, process.returncode) == (b"up\n", 7)


async def test_sigterm_becomes_a_drain(agent: Agent, tmp_path: Path) -> None:
    """Envoy itself is not told: the agent ends it when its connections are closed."""
    os.mkfifo(tmp_path / "end")
    agent.answer = {"files": {}, "argv": ["/bin/sh", "-c", f"echo up; read line <{tmp_path}/end; exit 3"]}
    process = await register(agent)
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), LIMIT) == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(agent.words.get(), LIMIT) == b"drain\n"
    await asyncio.to_thread((tmp_path / "end").write_text, "\n")
    assert await asyncio.wait_for(process.wait(), LIMIT) == 3


async def test_a_refusal_ends_the_container_with_its_reason(agent: Agent) -> None:
    """On standard error, where `kubectl logs` shows it."""
    agent.answer = {"error": "this node already has 4096 proxies; delete some pods"}
    process = await register(agent)
    _, error = await asyncio.wait_for(process.communicate(), LIMIT)
    assert (error, process.returncode) == (b"pilot-agent: this node already has 4096 proxies; delete some pods\n", 1)


async def test_an_agent_that_goes_away_is_a_reason_to_start_again(agent: Agent) -> None:
    """The container ends and the node starts it again."""
    process = await register(agent)
    _, error = await asyncio.wait_for(process.communicate(), LIMIT)
    assert (error, process.returncode) == (b"pilot-agent: the node agent closed the connection; it is restarted at once\n", 1)


async def test_an_agent_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """The container says what it waits for, once."""
    late = Agent(tmp_path / "agent.sock")
    late.answer = {"files": {}, "argv": ["/bin/true"]}
    process = await register(late)
    assert process.stderr is not None
    said = await asyncio.wait_for(process.stderr.readline(), LIMIT)
    assert said == f"pilot-agent: waiting for the node agent at {late.path}\n".encode()
    await late.start()
    assert await asyncio.wait_for(process.wait(), LIMIT) == 0
    assert await process.stderr.read() == b""
    await late.stop()


async def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the program."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(PROGRAM), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await asyncio.wait_for(process.communicate(), LIMIT)
    return process.returncode or 0, out.decode(), error.decode()


@pytest.fixture
async def envoy() -> AsyncIterator[EnvoyAdminFake]:
    async with loopback.envoy_admin() as fake:
        yield fake


async def test_requests_to_envoy(envoy: EnvoyAdminFake) -> None:
    """The answer on standard output, with or without a slash."""
    flag = f"--debug-port={envoy.port}"
    assert await run("request", flag, "GET", "stats") == (0, loopback.READY, "")
    assert await run("request", flag, "get", "/ready") == (0, "LIVE\n", "")
    assert await run("request", flag, "POST", "logging?level=debug") == (0, "OK\n", "")
    assert envoy.posts == ["/logging?level=debug"]


async def test_requests_that_fail(envoy: EnvoyAdminFake) -> None:
    """Envoy's refusal, an Envoy that is away, a call without path."""
    envoy.live = False
    assert await run("request", f"--debug-port={envoy.port}", "GET", "ready") == (1, "", "pilot-agent: unexpected response code 503: INITIALIZING\n\n")
    code, _, error = await run("request", "--debug-port=1", "GET", "stats")
    assert (code, "pilot-agent: Envoy does not answer on port 1" in error) == (1, True)
    assert (await run("request", "GET"))[0] == 2
    assert (await run("request", "--debug-port=x", "GET", "stats"))[0] == 2


async def test_other_words() -> None:
    """The version that istioctl shows; anything unknown is refused with what is known."""
    assert (await run("version"))[:2] == (0, "1.28.2\n")
    code, _, error = await run("proxyy")
    assert (code, error) == (2, "pilot-agent: unknown command 'proxyy'; it knows proxy, istio-iptables, request, wait and version\n")


async def test_the_redirection_can_be_shown() -> None:
    """`istio-iptables --skip-rule-apply` works with the standard library alone."""
    code, out, error = await run("istio-iptables", "--skip-rule-apply")
    assert (code, out.startswith("table ip istio\n"), error) == (0, True, "")


async def test_waiting_for_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zero as soon as the agent's port says ready."""
    async with loopback.envoy_admin() as fake:
        monkeypatch.setattr(pilot_agent, "READY_URL", f"http://127.0.0.1:{fake.port}/ready")
        assert await asyncio.to_thread(pilot_agent.wait) == 0


def test_the_shell_wrapper_finds_the_program() -> None:
    """`pilot-agent` as people call it in the container."""
    done = subprocess.run([str(PROGRAM.parent / "bin" / "pilot-agent"), "version"], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "1.28.2\n"
