"""The event loop of a pod's first process; `shim` says what it is for and which commands it takes. Standard library only."""

from __future__ import annotations

import fcntl
import json
import os
import select
import selectors
import signal
import socket
import struct
import termios
import time

from varka.cluster.runtime.shim import root
from varka.cluster.runtime.shim.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


class Shim:
    """The pod's event loop."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.selector = selectors.DefaultSelector()
        self.containers: dict[str, Container] = {}
        self.execs: dict[int, socket.socket] = {}
        self.listeners: list[socket.socket] = []

    def run(self) -> None:
        """Serve for ever; the pod ends when this process is killed."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        path = os.path.join(self.folder, "shim.sock")
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(64)
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self.accept(listener))
        self.selector.register(wake_read, selectors.EVENT_READ, lambda: os.read(wake_read, 4096))
        write_file(os.path.join(self.folder, "shim.json"), {"ready": True})
        while True:
            for key, _ in self.selector.select(timeout=5):
                key.data()
            self.reap()

    def accept(self, listener: socket.socket) -> None:
        """One command of one connection."""
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(5)
        try:
            data, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 4)
            while not data.endswith(b"\n"):
                more = connection.recv(1 << 20)
                if not more:
                    raise ValueError("the command ended early")
                data += more
            self.command(connection, json.loads(data), descriptors)
        except (OSError, ValueError, KeyError) as error:
            answer(connection, {"error": str(error)})
            connection.close()

    def command(self, connection: socket.socket, asked: Json, descriptors: list[int]) -> None:
        """Dispatch."""
        op = asked["op"]
        if op == "start":
            answer(connection, {"pid": self.start(asked["container"])})
        elif op == "signal":
            self.signal(asked["container"], asked["signal"])
            answer(connection, {})
        elif op == "tmpfs":
            root.memory(asked["target"], asked["size"])
            answer(connection, {})
        elif op == "exec":
            pid = self.exec(asked, descriptors)
            self.execs[pid] = connection
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ, lambda: self.abandon(pid, connection))
            return
        elif op == "attach":
            self.attach(connection, self.containers[asked["container"]])
            return
        elif op == "watch":
            answer(connection, {})
            connection.setblocking(False)
            self.listeners.append(connection)
            return
        elif op == "connect":
            target = socket.create_connection((asked.get("host", "127.0.0.1"), asked["port"]), timeout=5)
            socket.send_fds(connection, [b"{}\n"], [target.fileno()])
            target.close()
        else:
            raise ValueError(f"unknown command {op!r}")
        connection.close()

    def start(self, spec: Json) -> int:
        """Start a container; its pid in this namespace."""
        ends, streams, stdin = open_streams(spec)
        ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            self.child(spec, ends, ready_write)
        os.close(ready_write)
        for end in set(ends):
            os.close(end)
        told = b""
        while chunk := os.read(ready_read, 4096):
            told += chunk
        os.close(ready_read)
        mounts, _, trouble = told.decode(errors="replace").partition("\n")
        if trouble:
            for descriptor in {*streams, *([] if stdin is None else [stdin])}:
                os.close(descriptor)
            raise OSError(trouble)
        container = Container(spec, pid, mounts, streams, stdin)
        self.containers[container.name] = container
        for descriptor in streams:
            os.set_blocking(descriptor, False)
            self.selector.register(descriptor, selectors.EVENT_READ, lambda d=descriptor: self.output(container, d))
        write_file(spec["state"], {"pid": pid, "started": container.started, "mounts": mounts})
        self.tell({"container": container.name, "running": True})
        return pid

    def child(self, spec: Json, ends: tuple[int, int, int], ready: int) -> None:
        """In the new process: streams, mounts, exec.

        Through `ready` go the name of the mount namespace, a newline, and what goes wrong before the exec.
        """
        told = False
        try:
            os.setsid()
            for number, end in enumerate(ends):
                os.dup2(end, number, inheritable=True)
            if spec.get("tty"):
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            root.check(root.libc.unshare(root.CLONE_NEWNS), "unshare the mount namespace")
            os.write(ready, os.readlink("/proc/self/ns/mnt").encode() + b"\n")
            told = True
            root.mount("", "/", "", root.MS_REC | root.MS_PRIVATE)
            root.enter_root(root.build_root(spec, os.path.join(self.folder, "scratch")))
        except OSError as error:
            os.write(ready, (str(error) if told else f"\n{error}").encode())
            os._exit(125)
        close_above(ready)
        root.become(spec, ready)

    def exec(self, asked: Json, descriptors: list[int]) -> int:
        """Run a command beside a container, in its namespaces, on the given streams."""
        container = self.containers[asked["container"]]
        if container.ended:
            raise ValueError("the container is not running")
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                streams = descriptors * 3 if asked["tty"] else descriptors
                for number, end in enumerate(streams[:3]):
                    os.dup2(end, number, inheritable=True)
                if asked["tty"]:
                    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
                handle = os.open(f"/proc/{container.pid}/ns/mnt", os.O_RDONLY)
                root.check(root.libc.setns(handle, root.CLONE_NEWNS), "enter the container's mounts")
                os.chdir("/")
                close_above(2)
            except OSError as error:
                os.write(2, f"{error}\n".encode())
                os._exit(126)
            root.become({**container.spec, "command": asked["command"], "env": {**container.spec["env"], **({"TERM": "xterm"} if asked["tty"] else {})}})
        for descriptor in descriptors:
            os.close(descriptor)
        return pid

    def abandon(self, pid: int, connection: socket.socket) -> None:
        """Whoever asked for a command has gone: end the command's session."""
        try:
            if connection.recv(1 << 16):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.selector.unregister(connection)
        connection.close()
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass

    def attach(self, connection: socket.socket, container: Container) -> None:
        """Send what the container writes from now on, beginning with the line that is not in its log yet (a prompt).

        What is sent becomes its standard input. An ended container answers with the end of its output at once.
        """
        answer(connection, {})
        if container.ended:
            connection.close()
            return
        for channel, rest in container.log.partial.items():
            if rest:
                connection.sendall(frame(channel, rest))
        connection.setblocking(False)
        container.watchers.append(connection)
        buffer = bytearray()

        def receive() -> None:
            try:
                data = connection.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.detach(container, connection)
                return
            buffer.extend(data)
            while len(buffer) >= 5:
                channel, length = struct.unpack(">BI", buffer[:5])
                if len(buffer) < 5 + length:
                    break
                self.input(container, channel, bytes(buffer[5 : 5 + length]))
                del buffer[: 5 + length]

        self.selector.register(connection, selectors.EVENT_READ, receive)

    def input(self, container: Container, channel: int, data: bytes) -> None:
        """Channel 0: standard input, empty for its end; 4: the size of the terminal as two numbers."""
        if container.stdin is None:
            return
        try:
            if channel == 4 and container.spec.get("tty"):
                width, height = struct.unpack(">HH", data)
                fcntl.ioctl(container.stdin, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            elif data:
                select.select([], [container.stdin], [], 5)
                os.write(container.stdin, data)
            elif not container.spec.get("tty"):
                os.close(container.stdin)
                container.stdin = None
        except OSError:
            pass

    def detach(self, container: Container, connection: socket.socket) -> None:
        if connection in container.watchers:
            container.watchers.remove(connection)
        try:
            self.selector.unregister(connection)
        except (KeyError, ValueError):
            pass
        connection.close()

    def output(self, container: Container, descriptor: int) -> None:
        """Keep what a container wrote, and pass it to whoever is attached."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        channel = container.streams[descriptor]
        if not data:
            self.selector.unregister(descriptor)
            if descriptor != container.stdin:
                os.close(descriptor)
            del container.streams[descriptor]
            return
        container.log.write(channel, data.replace(b"\r\n", b"\n") if container.spec.get("tty") else data)
        for watcher in list(container.watchers):
            try:
                watcher.settimeout(2)
                watcher.sendall(frame(channel, data))
                watcher.setblocking(False)
            except OSError:
                self.detach(container, watcher)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a container; SIGKILL goes to everything that it started, too."""
        container = self.containers.get(name)
        if container is None or container.ended:
            return
        os.kill(container.pid, number)

    def reap(self) -> None:
        """Take the ends of children, adopted ones included."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            code = 128 - code if code < 0 else code
            if pid in self.execs:
                connection = self.execs.pop(pid)
                if connection.fileno() < 0:
                    continue
                self.selector.unregister(connection)
                answer(connection, {"code": code})
                connection.close()
                continue
            for container in self.containers.values():
                if container.pid == pid and not container.ended:
                    self.finish(container, code)

    def finish(self, container: Container, code: int) -> None:
        """A container's first process has ended: end the rest of its session, keep its last words, write down how."""
        container.ended = True
        kill_rest(container.mounts)
        for descriptor in list(container.streams):
            for _ in range(1024):
                before = container.streams.get(descriptor)
                if before is None or not select.select([descriptor], [], [], 0)[0]:
                    break
                self.output(container, descriptor)
        container.log.close()
        for watcher in list(container.watchers):
            self.detach(container, watcher)
        for descriptor in list(container.streams):
            self.selector.unregister(descriptor)
            if descriptor != container.stdin:
                os.close(descriptor)
        container.streams.clear()
        if container.stdin is not None:
            os.close(container.stdin)
            container.stdin = None
        finished = time.time()
        ended = {"pid": container.pid, "started": container.started, "finished": finished, "code": code, "mounts": container.mounts}
        write_file(container.spec["state"], ended)
        self.tell({"container": container.name, "running": False})

    def tell(self, event: Json) -> None:
        """Let the node know at once; what it misses it reads from the state files."""
        for listener in list(self.listeners):
            try:
                listener.send(json.dumps(event).encode() + b"\n")
            except OSError:
                self.listeners.remove(listener)
                listener.close()


def open_streams(spec: Json) -> tuple[tuple[int, int, int], dict[int, int], int | None]:
    """A container's ends of its streams, ours with their channels, and ours of its standard input."""
    if spec.get("tty"):
        master, slave = os.openpty()
        return (slave, slave, slave), {master: 1}, master
    stdin = None
    if spec.get("stdin"):
        given, stdin = os.pipe2(os.O_CLOEXEC)
    else:
        given = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    return (given, out_write, err_write), {out_read: 1, err_read: 2}, stdin


def frame(channel: int, data: bytes) -> bytes:
    """A piece of output for whoever is attached."""
    return struct.pack(">BI", channel, len(data)) + data


def kill_rest(mounts: str) -> None:
    """End every process that is left in a container's mount namespace: its own, and those that it started."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != 1:
            try:
                if os.readlink(f"/proc/{name}/ns/mnt") == mounts:
                    os.kill(int(name), signal.SIGKILL)
            except OSError:
                continue


def close_above(kept: int) -> None:
    """Close all descriptors but the standard streams; `kept` closes itself on exec."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                continue


def answer(connection: socket.socket, value: Json) -> None:
    """One JSON line; a caller that has gone misses it."""
    try:
        connection.settimeout(2)
        connection.sendall(json.dumps(value).encode() + b"\n")
    except OSError:
        pass


def write_file(path: str, value: Json) -> None:
    """Replace a small file as a whole."""
    temporary = path + ".new"
    with open(temporary, "w") as file:
        json.dump(value, file)
    os.replace(temporary, path)
