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
from contextlib import suppress
from pathlib import Path
from typing import Any

from varka.agent import proxy_settings
from varka.agent.sidecar import Place, Sidecar
from varka.base.clock import Clock, SystemClock
from varka.base.errors import VarkaError

log = logging.getLogger("varka.agent.node")

MAX_REGISTRATION = 1 << 20
REGISTRATION_SECONDS = 10.0
MAX_SIDECARS = 4096
_CREDENTIALS = struct.Struct("3i")


class NodeAgent:
    """Holds a Sidecar for every registered proxy process."""

    def __init__(self, state: Path, clock: Clock | None = None) -> None:
        self._socket = state / "run" / "agent" / "agent.sock"
        self._records = state / "agent"
        self._clock = clock or SystemClock()
        self._sidecars: dict[int, Sidecar] = {}
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
            log.info("ready for proxies, %d taken back", len(self._sidecars))
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
            except (ValueError, KeyError, OSError, VarkaError) as error:
                log.warning("cannot take back the proxy of %s: %s", record.name, error)

    async def _register(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pid = peer(writer)
        try:
            line = await asyncio.wait_for(reader.readline(), REGISTRATION_SECONDS)
            if not line:
                return
            asked: dict[str, Any] = json.loads(line)
            certified = asyncio.Event()
            sidecar = self._start(pid, list(asked["args"]), dict(asked["env"]), certified)
            record = self._records / f"{pid}.json"
            _write_private(record, json.dumps({"pid": pid, "start_time": start_time(pid), "args": asked["args"], "env": asked["env"]}))
            await _first(certified.wait(), reader.read(1))
            if not certified.is_set():
                return
            launch = sidecar.launch()
            writer.write(json.dumps({"files": launch.files, "argv": launch.argv}).encode() + b"\n")
            await writer.drain()
            while word := await reader.readline():
                if word.strip() == b"drain":
                    await sidecar.drain()
        except (ValueError, KeyError, OSError, VarkaError, TimeoutError) as error:
            log.warning("registration of process %d failed: %s", pid, error)
            with suppress(OSError):
                writer.write(json.dumps({"error": str(error)}).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()

    def _start(self, pid: int, arguments: list[str], environment: dict[str, str], certified: asyncio.Event) -> Sidecar:
        if self._tasks is None or len(self._sidecars) >= MAX_SIDECARS:
            raise VarkaError(f"this node already has {len(self._sidecars)} proxies", "delete some pods")
        settings = proxy_settings.parse(arguments, environment)
        sidecar = Sidecar(settings, Place(root=Path(f"/proc/{pid}/root"), pid=pid), self._clock)
        self._sidecars[pid] = sidecar
        self._tasks.create_task(self._keep(pid, sidecar, certified))
        return sidecar

    async def _keep(self, pid: int, sidecar: Sidecar, certified: asyncio.Event) -> None:
        """Run a sidecar for as long as its process lives; its failure is its own."""
        running = asyncio.create_task(sidecar.run(certified.set))
        ended = asyncio.create_task(process_end(pid))
        try:
            await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED)
            if running.done() and not running.cancelled() and (error := running.exception()):
                log.error("%s: the sidecar's agent failed", sidecar.name, exc_info=error)
        finally:
            for task in (running, ended):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            del self._sidecars[pid]
            if ended.done() and not ended.cancelled():
                (self._records / f"{pid}.json").unlink(missing_ok=True)
                log.info("%s: Envoy ended", sidecar.name)


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
