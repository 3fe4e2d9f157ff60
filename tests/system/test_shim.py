"""A pod's first process on its own, in namespaces, without the rest of the runtime."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from varka.base.errors import VarkaError
from varka.cluster.runtime import capabilities, logfiles
from varka.cluster.runtime.shim import client as shim_client

NAMESPACES = ["--user", "--map-root-user", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child=SIGKILL"]
PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def visible() -> list[dict[str, Any]]:
    """This installation, where it lies in a folder that is private to containers."""
    places = {sys.prefix, sys.base_prefix}
    return [{"source": place, "target": place, "readOnly": True} for place in sorted(places) if place.startswith("/tmp/")]


class Pod:
    """One running shim in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "sandbox.json").write_text(json.dumps({"hostname": "test-pod"}))
        command = ["unshare", *NAMESPACES, sys.executable, "-I", "-S", str(shim_client.PROGRAM), str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not (folder / "shim.json").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(folder / "shim.sock"))
            self.pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        self.shim = shim_client.Shim(folder=folder, pid=self.pid, start_time=shim_client.start_time(self.pid))

    def spec(self, name: str, *command: str, **more: Any) -> dict[str, Any]:
        """What the runtime would send to start a container."""
        files = {"log": str(self.folder / f"{name}.log"), "state": str(self.folder / f"{name}.json")}
        fixed = {"name": name, "command": list(command), "env": PATH, "mounts": visible(), "hidden": [str(self.folder)], "capabilities": capabilities.kept({})}
        return {**fixed, **files, **more}

    async def start(self, name: str, *command: str, **more: Any) -> None:
        """Start a container."""
        await self.shim.command({"op": "start", "container": self.spec(name, *command, **more)})

    async def end(self, name: str) -> dict[str, Any]:
        """How a container ended."""
        async with asyncio.timeout(10):
            while True:
                found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
                if "finished" in found:
                    return found
                await asyncio.sleep(0.01)

    async def run(self, command: str, **more: Any) -> tuple[int, str]:
        """Exit code and output of a whole container."""
        name = f"c{len(list(self.folder.glob('*.log')))}"
        await self.start(name, "sh", "-c", command, **more)
        code = (await self.end(name))["code"]
        return code, self.log(name)

    def log(self, name: str) -> str:
        """What it wrote."""
        return b"".join(entry.render(False) for entry in logfiles.stored(self.folder / f"{name}.log")).decode()

    async def exec(self, container: str, *command: str) -> tuple[int, str]:
        """Exit code and output of a command beside a container."""
        read, write = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        connection = await self.shim.send({"op": "exec", "container": container, "command": list(command), "tty": False}, [null, write, write])
        os.close(null)
        os.close(write)
        code = (await asyncio.wait_for(shim_client.answer(connection), 10))["code"]
        connection.close()
        with os.fdopen(read) as file:
            return code, file.read()

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    """A pod without containers."""
    made = Pod(tmp_path)
    yield made
    made.close()


async def test_a_container_runs_and_ends(pod: Pod) -> None:
    """Output goes to the log by stream and time, the end to the state file."""
    code, output = await pod.run("hostname; echo oops >&2; exit 3")
    assert (code, output) == (3, "test-pod\noops\n")
    entries = list(logfiles.stored(pod.folder / "c0.log"))
    assert [entry.channel for entry in entries] == [1, 2]


async def test_a_signal_is_128_and_its_number(pod: Pod) -> None:
    """As shells count."""
    await pod.start("c", "sleep", "60")
    await pod.shim.command({"op": "signal", "container": "c", "signal": 15})
    assert (await pod.end("c"))["code"] == 143


@pytest.mark.parametrize(
    ("command", "words"), [("/nope", 'exec: "/nope": stat /nope: no such file or directory'), ("nope", 'exec: "nope": executable file not found in $PATH')]
)
async def test_a_program_that_is_not_there(pod: Pod, command: str, words: str) -> None:
    """The refusal has a container engine's words, and the pod goes on."""
    with pytest.raises(VarkaError, match="exec: ") as caught:
        await pod.start("c", command)
    assert caught.value.message == words
    assert await pod.run("echo on") == (0, "on\n")


async def test_the_machine_is_read_only_and_temporary_files_are_private(pod: Pod) -> None:
    """Nothing that a container writes reaches the host."""
    code, output = await pod.run("touch /etc/x /usr/x 2>/dev/null || echo refused; echo a >/tmp/a; echo b >/run/b; ls -A /tmp /run")
    left = sorted({"a", *(place["target"].split("/")[2] for place in visible())})
    assert (code, output) == (0, "refused\n/run:\nb\n\n/tmp:\n" + "\n".join(left) + "\n")
    assert not Path("/run/b").exists()


async def test_private_writes_are_bounded(pod: Pod) -> None:
    """A container cannot fill the machine's memory through its temporary folder."""
    code, _ = await pod.run("head -c 100000000 /dev/zero > /tmp/big")
    assert code != 0


async def test_volumes_where_the_machine_has_no_folder(pod: Pod, tmp_path: Path) -> None:
    """Mount points are made anywhere, deep below folders of the machine and on files; read-only ones stay so."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "page").write_text("hello\n")
    mounts = [
        {"source": str(volume), "target": "/usr/share/none/html", "readOnly": True},
        {"source": str(volume), "target": "/data/deep", "readOnly": False},
        {"source": str(volume / "page"), "target": "/etc/hosts", "readOnly": True},
        {"source": str(volume / "page"), "target": "/var/run/secrets/token", "readOnly": True},
        {"source": str(volume / "page"), "target": "/dev/termination-log", "readOnly": False},
    ]
    command = (
        "cat /usr/share/none/html/page /etc/hosts /run/secrets/token /dev/termination-log; "
        "touch /usr/share/none/html/x 2>/dev/null || echo ro; echo new >/data/deep/n; ls /usr/bin/env"
    )
    assert await pod.run(command, mounts=mounts) == (0, "hello\n" * 4 + "ro\n/usr/bin/env\n")
    assert (volume / "n").read_text() == "new\n"


async def test_private_folders_stay_hidden_in_mounts_of_the_machine(pod: Pod) -> None:
    """Who mounts a folder of the machine does not see what is private in it."""
    (pod.folder.parent / "open").mkdir(exist_ok=True)
    mounts = [{"source": str(pod.folder.parent), "target": "/host", "readOnly": True}]
    assert await pod.run(f"ls -A /host/open /host/{pod.folder.name}", mounts=mounts) == (0, f"/host/open:\n\n/host/{pod.folder.name}:\n")


async def test_containers_have_no_way_out(pod: Pod) -> None:
    """Neither into the shim's namespaces, where private folders can be seen, nor by a mount, nor over a disk."""
    ways = [
        "nsenter -t 1 -m true",
        "ls /proc/1/root/",
        "mount -o remount,rw /",
        "umount /tmp",
        f"unshare -U -r -m umount {pod.folder}",
        "unshare -U -r nsenter -t 1 -m true",
        "test -b /dev/vda",
        f"ls {pod.folder}/shim.sock",
    ]
    for way in ways:
        code, _ = await pod.run(f"{way} >/dev/null 2>&1")
        assert code != 0, way


async def test_the_usual_devices_are_there(pod: Pod) -> None:
    """And no others."""
    code, output = await pod.run("ls /dev; echo x >/dev/null; head -c 1 /dev/urandom | wc -c; touch /dev/shm/x; echo y >/dev/stderr")
    assert (code, output) == (0, "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n1\ny\n")


async def test_exec_runs_in_the_containers_namespaces(pod: Pod) -> None:
    """The same files and environment; the exit code comes back."""
    await pod.start("c", "sh", "-c", "echo mine >/tmp/f; exec sleep 60", env={**PATH, "A": "b"})
    async with asyncio.timeout(5):
        while (await pod.exec("c", "cat", "/tmp/f"))[0] != 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await pod.exec("c", "sh", "-c", "cat /tmp/f; echo $A; exit 7") == (7, "mine\nb\n")
    assert (await pod.exec("c", "nope"))[0] == 127


async def test_a_command_ends_when_its_caller_goes(pod: Pod) -> None:
    """Nothing that nobody waits for is left running."""
    await pod.start("c", "sleep", "60")
    streams = [os.open("/dev/null", os.O_RDWR) for _ in range(3)]
    connection = await pod.shim.send({"op": "exec", "container": "c", "command": ["sleep", "4711"], "tty": False}, streams)
    for stream in streams:
        os.close(stream)
    await until(lambda: "4711" in commands(pod))
    connection.close()
    await until(lambda: "4711" not in commands(pod))


async def test_children_end_with_their_container(pod: Pod) -> None:
    """Also those that made themselves independent; other containers go on."""
    await pod.start("other", "sleep", "4712")
    await pod.start("c", "sh", "-c", "setsid sleep 4713 & sleep 0.2")
    await until(lambda: "4713" in commands(pod))
    await pod.end("c")
    await until(lambda: "4713" not in commands(pod))
    assert "4712" in commands(pod)


async def test_killing_the_shim_kills_the_pod(pod: Pod) -> None:
    """The kernel ends all processes of a process namespace with its first."""
    await pod.start("c", "sleep", "4714")
    found = [pid for pid, command in running() if "4714" in command]
    pod.shim.kill()
    await until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in found))
    await until(lambda: not pod.shim.alive())
    assert found


async def test_an_interactive_container(pod: Pod) -> None:
    """Who attaches sees the prompt that is waiting and what follows; what is typed arrives; its end ends the attachment."""
    await pod.start("c", "sh", "-c", "echo ready; printf 'name? '; read line; echo got $line", stdin=True)
    await until(lambda: "ready" in pod.log("c"))
    connection = await pod.shim.send({"op": "attach", "container": "c"})
    loop = asyncio.get_running_loop()
    received = b""
    async with asyncio.timeout(5):
        while b"name? " not in received:
            received += await loop.sock_recv(connection, 4096)
        await loop.sock_sendall(connection, struct.pack(">BI", 0, 6) + b"hello\n")
        while chunk := await loop.sock_recv(connection, 4096):
            received += chunk
    connection.close()
    assert received == b"{}\n" + b"".join(struct.pack(">BI", 1, len(text)) + text for text in (b"name? ", b"got hello\n"))


async def test_attaching_to_what_has_ended(pod: Pod) -> None:
    """The output is in the log; the attachment ends at once."""
    await pod.start("c", "echo", "short", stdin=True)
    await pod.end("c")
    connection = await pod.shim.send({"op": "attach", "container": "c"})
    received = b""
    while chunk := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 4096), 5):
        received += chunk
    connection.close()
    assert received == b"{}\n"


async def test_a_terminal(pod: Pod) -> None:
    """A container with a tty has one on all three streams."""
    assert await pod.run("test -t 0 && test -t 1 && test -t 2 && echo yes", tty=True) == (0, "yes\n")


async def test_connect_reaches_the_pods_loopback(pod: Pod) -> None:
    """A connection made inside comes out as a descriptor; a closed port is refused with its reason."""
    program = "import socket; s=socket.create_server(('127.0.0.1',8080)); print('up',flush=True); c,_=s.accept(); c.sendall(b'hi'); c.close(); input()"
    await asyncio.to_thread(subprocess.run, ["nsenter", "-t", str(pod.pid), "-U", "-n", "--preserve-credentials", "ip", "link", "set", "lo", "up"], check=True)
    await pod.start("c", sys.executable, "-c", program, stdin=True)
    await until(lambda: "up" in pod.log("c"))
    with await pod.shim.connect(8080) as made:
        assert await asyncio.get_running_loop().sock_recv(made, 10) == b"hi"
    with pytest.raises(VarkaError, match="refused"):
        await pod.shim.connect(8081)


async def test_watchers_hear_of_ends_at_once(pod: Pod) -> None:
    """The node need not poll."""
    connection = await pod.shim.send({"op": "watch"})
    loop = asyncio.get_running_loop()
    assert await asyncio.wait_for(loop.sock_recv(connection, 4096), 5) == b"{}\n"
    await pod.run("true")
    received = b""
    while received.count(b"\n") < 2:
        received += await asyncio.wait_for(loop.sock_recv(connection, 4096), 5)
    connection.close()
    assert [json.loads(line) for line in received.splitlines()] == [{"container": "c0", "running": True}, {"container": "c0", "running": False}]


async def test_nonsense_is_answered(pod: Pod) -> None:
    """A bad command gets an error and does no harm."""
    for asked in ({"op": "fly"}, {}, {"op": "exec", "container": "none", "command": ["x"], "tty": False}):
        with pytest.raises(VarkaError):
            await pod.shim.command(asked)
    assert await pod.run("echo on") == (0, "on\n")


async def test_no_descriptors_leak(pod: Pod) -> None:
    """A container that restarts for days does not exhaust the shim."""
    await pod.run("true", tty=True)
    before = len(os.listdir(f"/proc/{pod.pid}/fd"))
    for number in range(5):
        await pod.run("true", tty=bool(number % 2), stdin=True)
    assert len(os.listdir(f"/proc/{pod.pid}/fd")) == before


def running() -> list[tuple[int, str]]:
    """Pids and command lines of this machine's processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")))
        except OSError:
            continue
    return found


def commands(pod: Pod) -> str:
    """Command lines of the pod's processes."""
    space = os.readlink(f"/proc/{pod.pid}/ns/pid")
    lines = []
    for pid, command in running():
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == space:
                lines.append(command)
        except OSError:
            continue
    return "\n".join(lines)


async def until(condition: Any) -> None:
    """Wait for it, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
