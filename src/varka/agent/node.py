"""One agent for all proxies of this machine.

Every proxy container registers over one UNIX socket. The kernel tells which process is at the other end, so a
container can speak for itself only. What is needed to take a running Envoy back after the agent was killed is kept
on disk: no keys, only process id, start time, arguments and environment.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from varka.agent import proxy_settings
from varka.agent.keeper import Companion, Keeper
from varka.agent.proxy_settings import ProxySettings
from varka.agent.sidecar import Place, Sidecar
from varka.base.clock import Clock, SystemClock
from varka.base.errors import VarkaError

log = logging.getLogger("varka.agent.node")

MAX_REGISTRATION = 1 << 20
REGISTRATION_SECONDS = 10.0
MAX_SIDECARS = 4096
END_RETRY_SECONDS = 5.0
_CREDENTIALS = struct.Struct("3i")


Make = Callable[[ProxySettings, Place, Clock], Companion]
"""Makes the companion of one proxy."""


class NodeAgent:
    """Holds a Sidecar for every registered proxy process."""

    def __init__(self, state: Path, clock: Clock | None = None, make: Make = Sidecar) -> None:
        self._socket = state / "run" / "agent" / "agent.sock"
        self._records = state / "agent"
        self._clock = clock or SystemClock()
        self._make = make
        self._keepers: dict[int, Keeper] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        for folder in (self._socket.parent, self._records):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.unlink(missing_ok=True)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._adopt()
            server = await asyncio.start_unix_server(self._register, self._socket, limit=MAX_REGISTRATION)
            os.chmod(self._socket, 0o600)
            log.info("ready for proxies, %d taken back", len(self._keepers))
            async with server:
                await server.serve_forever()

    def _adopt(self) -> None:
        for record in sorted(self._records.glob("*.json")):
            try:
                kept = json.loads(record.read_text())
                if start_time(kept["pid"]) != kept["start_time"]:
                    record.unlink()
                    continue
                self._start(kept["pid"], kept["args"], kept["env"], asyncio.Event())
            except (ValueError, TypeError, KeyError, OSError, VarkaError) as error:
                log.warning("cannot take back the proxy of %s: %s", record.name, error)

    async def _register(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid = peer(writer)
        try:
            async with asyncio.timeout(REGISTRATION_SECONDS):
                line = await reader.readline()
            if not line:
                return
            asked: dict[str, Any] = json.loads(line)
            certified = asyncio.Event()
            keeper = self._start(pid, list(asked["args"]), dict(asked["env"]), certified)
            record = self._records / f"{pid}.json"
            _write_private(record, json.dumps({"pid": pid, "start_time": start_time(pid), "args": asked["args"], "env": asked["env"]}))
            await _first(certified.wait(), reader.read(1))
            if not certified.is_set():
                return
            launch = keeper.launch()
            writer.write(json.dumps({"files": launch.files, "argv": launch.argv}).encode() + b"\n")
            await writer.drain()
            while word := await reader.readline():
                if word.strip() == b"drain":
                    await keeper.drain()
        except (ValueError, TypeError, KeyError, OSError, VarkaError, TimeoutError) as error:
            log.warning("registration of process %d failed: %s", pid, error)
            with suppress(OSError):
                writer.write(json.dumps({"error": str(error)}).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()

    def _start(self, pid: int, arguments: list[str], environment: dict[str, str], certified: asyncio.Event) -> Keeper:
        if self._tasks is None or len(self._keepers) >= MAX_SIDECARS:
            raise VarkaError(f"this node already has {len(self._keepers)} proxies", "delete some pods")
        if pid in self._keepers:
            raise VarkaError(f"process {pid} has registered already", "run `pilot-agent proxy` once in a container")
        if not all(isinstance(one, str) for one in (*arguments, *environment, *environment.values())):
            raise VarkaError("the arguments and the environment of a proxy are texts", "start it with `pilot-agent proxy`")
        settings = proxy_settings.parse(arguments, environment)
        place = Place(root=Path(f"/proc/{pid}/root"), pid=pid)
        keeper = Keeper(f"{settings.namespace}/{settings.pod}", lambda: self._make(settings, place, self._clock), self._clock)
        self._keepers[pid] = keeper
        self._tasks.create_task(self._keep(pid, keeper, certified))
        return keeper

    async def _keep(self, pid: int, keeper: Keeper, certified: asyncio.Event) -> None:
        """Run a proxy's companion for as long as its process lives."""
        running = asyncio.create_task(keeper.run(certified.set))
        try:
            while not await self._ended(pid):
                await self._clock.sleep(END_RETRY_SECONDS)
            (self._records / f"{pid}.json").unlink(missing_ok=True)
            log.info("%s: Envoy ended", keeper.name)
        except OSError as error:
            log.warning("%s: its record stays behind: %s", keeper.name, error)
        finally:
            del self._keepers[pid]
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def _ended(self, pid: int) -> bool:
        try:
            await process_end(pid)
        except OSError as error:
            log.warning("cannot watch process %d: %s; raise the limit of open files (`ulimit -n`)", pid, error)
            return start_time(pid) == 0
        return True


async def process_end(pid: int) -> None:
    """Wait until a process, not necessarily a child, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _first(*waits: Any) -> None:
    """Until one of them is done; the others have ended when this returns, so that their streams are free again."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def peer(writer: asyncio.StreamWriter) -> int:
    """The process at the other end of a UNIX connection, as the kernel knows it."""
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[0])


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5), field 22 of stat); 0 when there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return 0


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
