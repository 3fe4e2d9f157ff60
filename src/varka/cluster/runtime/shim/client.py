"""The node's side of a pod's shim: start it, give it commands, know whether it lives."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varka.base.errors import VarkaError

PROGRAM = Path(__file__).parent / "shim.py"
START_SECONDS = 10.0
COMMAND_SECONDS = 15.0
LAUNCHER = "launcher.json"
"""The process whose end the kernel makes the shim's end."""
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shim:
    """A running shim: its folder, its process as the node sees it, and when that started."""

    folder: Path
    pid: int
    start_time: int

    def alive(self) -> bool:
        """Whether it runs; a pid that another process has by now does not count."""
        return self.start_time != 0 and start_time(self.pid) == self.start_time

    def kill(self) -> None:
        """End the pod at once: with its first process the kernel ends all others of the namespace."""
        if self.alive():
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    async def command(self, asked: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Send a command; VarkaError with the shim's words when it refuses."""
        connection = await self.send(asked, descriptors)
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                return await answer(connection)
        finally:
            connection.close()

    async def send(self, asked: dict[str, Any], descriptors: Sequence[int] = ()) -> socket.socket:
        """Send a command and keep the connection for what follows."""
        connection = await self._connect()
        data = json.dumps(asked).encode() + b"\n"
        try:
            if descriptors:
                sent = socket.send_fds(connection, [data], list(descriptors))
                data = data[sent:]
            if data:
                async with asyncio.timeout(COMMAND_SECONDS):
                    await asyncio.get_running_loop().sock_sendall(connection, data)
        except OSError as error:
            connection.close()
            raise VarkaError(f"the pod does not take commands: {error}") from error
        return connection

    async def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await asyncio.get_running_loop().sock_connect(connection, str(self.folder / "shim.sock"))
        except (OSError, TimeoutError) as error:
            connection.close()
            raise VarkaError(f"the pod's first process does not answer: {error}", "delete the pod") from error
        return connection

    async def connect(self, port: int) -> socket.socket:
        """A connection to the pod's loopback; VarkaError when nothing listens there."""
        connection = await self.send({"op": "connect", "port": port})
        try:
            loop = asyncio.get_running_loop()
            readable = loop.create_future()
            loop.add_reader(connection, lambda: None if readable.done() else readable.set_result(None))
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    await readable
            finally:
                loop.remove_reader(connection)
            data, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 1)
            if not descriptors:
                raise VarkaError(json.loads(data or b"{}").get("error", "the pod closed the connection"))
            made = socket.socket(fileno=descriptors[0])
            made.setblocking(False)
            return made
        finally:
            connection.close()


async def answer(connection: socket.socket) -> dict[str, Any]:
    """One JSON line; VarkaError for an error or an early end."""
    loop = asyncio.get_running_loop()
    received = b""
    while not received.endswith(b"\n"):
        chunk = await loop.sock_recv(connection, 1 << 16)
        if not chunk:
            raise VarkaError("the pod's first process ended")
        received += chunk
    found: dict[str, Any] = json.loads(received)
    if "error" in found:
        raise VarkaError(str(found["error"]))
    return found


async def start(folder: Path, hostname: str, *, network: bool = True) -> Shim:
    """A new pod's namespaces and their first process; without `network` it shares the node's."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "sandbox.json").write_text(json.dumps({"hostname": hostname}))
    (folder / "shim.json").unlink(missing_ok=True)
    unshare = shutil.which("unshare") or "/usr/bin/unshare"
    namespaces = [*(["--net"] if network else []), "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL"]
    end(folder)
    output = os.open(folder / "shim.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            unshare, *namespaces, sys.executable, "-I", "-S", str(PROGRAM), str(folder),
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(output)
    try:
        (folder / LAUNCHER).write_text(json.dumps({"pid": process.pid, "start_time": start_time(process.pid)}))
        await _ready(folder, process)
        shim = _identify(folder)
        (folder / "shim.json").write_text(json.dumps({"pid": shim.pid, "start_time": shim.start_time}))
    except BaseException:
        end(folder)
        raise
    return shim


async def _ready(folder: Path, process: asyncio.subprocess.Process) -> None:
    """Wait until the shim takes commands."""
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    while not (folder / "shim.json").exists():
        if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
            told = (folder / "shim.log").read_text(errors="replace").strip()[-500:]
            raise VarkaError(f"the pod's namespaces could not be made: {told or 'no reason given'}", "varka doctor checks what this machine lacks")
        await asyncio.sleep(0.003)


def end(folder: Path) -> None:
    """End the pod's namespaces, also those that were only being made when the node process ended; none are fine."""
    shim = recover(folder)
    if shim is not None:
        shim.kill()
    try:
        kept = json.loads((folder / LAUNCHER).read_text())
        Shim(folder=folder, pid=int(kept["pid"]), start_time=int(kept["start_time"])).kill()
    except (OSError, ValueError, KeyError):
        return


def recover(folder: Path) -> Shim | None:
    """The shim that an earlier node process started in this folder, if it still runs."""
    try:
        kept = json.loads((folder / "shim.json").read_text())
        shim = Shim(folder=folder, pid=int(kept["pid"]), start_time=int(kept["start_time"]))
    except (OSError, ValueError, KeyError):
        try:
            shim = _identify(folder)
        except (OSError, VarkaError):
            return None
    return shim if shim.alive() else None


def _identify(folder: Path) -> Shim:
    """The kernel knows who listens on the socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(COMMAND_SECONDS)
        connection.connect(str(folder / "shim.sock"))
        pid = int(_CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0])
    return Shim(folder=folder, pid=pid, start_time=start_time(pid))


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5), field 22 of stat); 0 when there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[19])
    except (OSError, IndexError):
        return 0
