from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.clock import TurnedClock, settle, until
from tests.fakes.companions import FakeCompanion

from varka.agent import node
from varka.agent.proxy_settings import ProxySettings
from varka.agent.sidecar import Place
from varka.base.clock import Clock

ENVIRONMENT = {"POD_NAME": "web", "POD_NAMESPACE": "shop"}
_CLIENT = """
import os, select, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
watched = [0, peer.fileno()]
while True:
    for one in select.select(watched, [], [])[0]:
        data = os.read(one, 65536)
        if one == 0 and not data:
            sys.exit()
        if not data:
            watched.remove(one)
        elif one == 0:
            peer.sendall(data)
        else:
            os.write(1, data)
"""
LIMIT = 10.0


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Agent:
    """A node agent whose companions are fakes; `stop` and `start` are what a kill and a restart are to it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.clock = TurnedClock()
        self.made: list[FakeCompanion] = []
        self.places: list[Place] = []
        self.settings: list[ProxySettings] = []
        self._another = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def _make(self, settings: ProxySettings, place: Place, clock: Clock) -> FakeCompanion:
        self.made.append(FakeCompanion(settings.pod))
        self.places.append(place)
        self.settings.append(settings)
        self._another.set()
        return self.made[-1]

    @property
    def socket(self) -> Path:
        return self.state / "run" / "agent" / "agent.sock"

    def records(self) -> dict[str, Any]:
        """What is kept on disk."""
        return {path.name: json.loads(path.read_text()) for path in sorted((self.state / "agent").glob("*.json"))}

    async def start(self) -> None:
        """Run it and wait for its socket."""
        agent = node.NodeAgent(self.state, self.clock, self._make)
        self._task = asyncio.create_task(agent.run())
        await until(lambda: self._task is not None and (self._task.done() or _listens(self.socket)))
        assert not self._task.done()

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def companion(self) -> FakeCompanion:
        """The next companion that is made, running."""
        async with asyncio.timeout(LIMIT):
            await self._another.wait()
        self._another.clear()
        await settle()
        return self.made[-1]


class Proxy:
    """A process of its own that registers as `pilot-agent` does; it lives until it is ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def say(self, line: bytes) -> None:
        """Send one line to the agent."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()

    async def register(self, environment: dict[str, str] | None = None) -> None:
        """Ask to be prepared."""
        await self.say(json.dumps({"args": ["sidecar"], "env": environment or ENVIRONMENT}).encode())

    async def answer(self) -> dict[str, Any]:
        """The agent's answer."""
        assert self._process.stdout is not None
        async with asyncio.timeout(LIMIT):
            found: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return found

    async def end(self) -> None:
        """Let it end."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            async with asyncio.timeout(LIMIT):
                await self._process.wait()


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    one = Agent(tmp_path)
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def proxy(agent: Agent) -> AsyncIterator[Proxy]:
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", _CLIENT, str(agent.socket), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    yield (one := Proxy(made))
    await one.end()


async def test_a_registered_proxy_is_told_how_to_start_once_it_has_a_certificate(agent: Agent, proxy: Proxy) -> None:
    """The companion is made for the process that the kernel names, and the answer is its launch."""
    await proxy.register()
    companion = await agent.companion()
    assert agent.places == [Place(root=Path(f"/proc/{proxy.pid}/root"), pid=proxy.pid)]
    assert (agent.settings[0].namespace, agent.settings[0].pod, agent.settings[0].type) == ("shop", "web", "sidecar")
    companion.certify()
    assert await proxy.answer() == {"files": {"/etc/envoy.json": "web"}, "argv": ["envoy", "web"]}


async def test_the_record_of_a_proxy_is_private_and_goes_with_it(agent: Agent, proxy: Proxy) -> None:
    """Process, start time, arguments and environment, mode 0600; removed when the process has ended."""
    await proxy.register()
    companion = await agent.companion()
    name = f"{proxy.pid}.json"
    assert agent.records() == {name: {"pid": proxy.pid, "start_time": node.start_time(proxy.pid), "args": ["sidecar"], "env": ENVIRONMENT}}
    assert stat.S_IMODE((agent.state / "agent" / name).stat().st_mode) == 0o600
    await proxy.end()
    await until(lambda: companion.closed and not agent.records())


async def test_a_companion_that_fails_is_started_again_while_its_process_lives(agent: Agent, proxy: Proxy) -> None:
    """The successor belongs to the same process, and a drain reaches the successor."""
    await proxy.register()
    (await agent.companion()).certify()
    await proxy.answer()
    agent.made[0].fail(RuntimeError("a bug"))
    await settle()
    await agent.clock.turn(1)
    second = await agent.companion()
    assert second.running and agent.places[1] == agent.places[0]
    await proxy.say(b"drain")
    await until(lambda: second.drains == 1)
    assert list(agent.records()) == [f"{proxy.pid}.json"]


async def test_running_proxies_are_taken_back_after_a_restart(agent: Agent, proxy: Proxy) -> None:
    """By process and start time, with the arguments and environment that they had registered with."""
    await proxy.register()
    (await agent.companion()).certify()
    await proxy.answer()
    await agent.stop()
    assert agent.made[0].closed
    assert list(agent.records()) == [f"{proxy.pid}.json"]
    await agent.start()
    second = await agent.companion()
    assert second.running and agent.places[1] == agent.places[0] and agent.settings[1] == agent.settings[0]
    await proxy.end()
    await until(lambda: second.closed and not agent.records())


@pytest.mark.parametrize(
    "record",
    [{"pid": 2**22 + 1, "start_time": 5, "args": [], "env": ENVIRONMENT}, {"pid": os.getpid(), "start_time": 1, "args": [], "env": ENVIRONMENT}],
    ids=["ended", "another process by now"],
)
async def test_a_record_of_a_process_that_has_ended_is_removed(tmp_path: Path, record: dict[str, Any]) -> None:
    """No companion is made for it."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "1.json").write_text(json.dumps(record))
    agent = Agent(tmp_path)
    await agent.start()
    assert (agent.made, agent.records()) == ([], {})
    await agent.stop()


@pytest.mark.parametrize("text", ["", "[]", '"x"', '{"pid": 1}', '{"pid": "x", "start_time": 0, "args": 5, "env": 7}'])
async def test_a_damaged_record_keeps_no_agent_from_starting(tmp_path: Path, text: str) -> None:
    """It is named in the log and left alone."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "1.json").write_text(text)
    agent = Agent(tmp_path)
    await agent.start()
    assert agent.made == []
    await agent.stop()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{}", "args"),
        (b"[]", "list indices"),
        (b"not JSON", "Expecting value"),
        (json.dumps({"args": [], "env": {}}).encode(), "the proxy's environment has no POD_NAME and no POD_NAMESPACE"),
        (json.dumps({"args": [5], "env": ENVIRONMENT}).encode(), "the arguments and the environment of a proxy are texts"),
    ],
)
async def test_a_registration_that_makes_no_sense_is_refused(agent: Agent, proxy: Proxy, line: bytes, said: str) -> None:
    """The process is told why, and the agent goes on."""
    await proxy.say(line)
    assert said in (await proxy.answer())["error"]
    assert (agent.made, agent.records()) == ([], {})


async def test_a_process_registers_once(agent: Agent, proxy: Proxy) -> None:
    """A second connection of the same process is refused; the first companion stays."""
    line = json.dumps({"args": ["sidecar"], "env": ENVIRONMENT}).encode() + b"\n"
    answers = []
    for _ in range(2):
        reader, writer = await asyncio.open_unix_connection(agent.socket)
        writer.write(line)
        answers.append((reader, writer))
        await settle()
    async with asyncio.timeout(LIMIT):
        refused = json.loads(await answers[1][0].readline())
    assert refused["error"].startswith(f"process {os.getpid()} has registered already")
    assert [one.running for one in agent.made] == [True]
    for _, writer in answers:
        writer.close()


async def test_a_proxy_that_goes_away_before_its_certificate_gets_no_answer(agent: Agent, proxy: Proxy) -> None:
    """Its companion ends with it."""
    await proxy.register()
    companion = await agent.companion()
    await proxy.end()
    await until(lambda: companion.closed and not agent.records())


async def test_the_socket_is_private(agent: Agent) -> None:
    """Only the owner of the cluster reaches it."""
    assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(agent.socket.parent.stat().st_mode) == 0o700
