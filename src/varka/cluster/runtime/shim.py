"""The first process of a pod: holds its namespaces, starts its containers, keeps their output and their ends.

Run as `python -I -S shim.py FOLDER` in new network, mount, UTS, IPC and PID namespaces; standard library only, because
one runs for every pod. It outlives the node process: what a successor has to know is in files of FOLDER.

Commands come over the UNIX socket FOLDER/shim.sock, one JSON line a connection, and are answered by JSON lines:

    {"op": "start", "container": {…}}     start a container; {"pid": …}
    {"op": "signal", "container": NAME, "signal": N}
    {"op": "exec", "container": NAME, "command": […], "tty": BOOL}   with standard streams as passed descriptors
    {"op": "attach", "container": NAME}   its output from now on, framed; what is sent goes to its standard input
    {"op": "watch"}                       a line whenever a container starts or ends
    {"op": "connect", "port": N}          a connection to the pod's loopback, as a passed descriptor
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import pty
import select
import selectors
import signal
import socket
import struct
import sys
import termios
import time
from typing import Any, NoReturn

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
PRIVATE = {"/proc", "/tmp", "/run"}
"""Host folders that no container sees: each has its own."""
LOG_LIMIT = 10 << 20
LINE_LIMIT = 16 << 10
WRITABLE_SIZE = "64m"
libc = ctypes.CDLL(None, use_errno=True)
Json = dict[str, Any]


def check(result: int, what: str) -> None:
    """Turn a failed libc call into an OSError that says what was tried."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    check(libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()), f"mount {source} on {target}")


def bind(source: str, target: str, read_only: bool) -> None:
    """Bind-mount with everything mounted below, making the mount point."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target) or os.path.islink(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(target):
            os.unlink(target)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, "", MS_BIND | MS_REC)
    if read_only:
        attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
        check(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, attributes, len(attributes)), f"make {target} read-only")


def build_root(spec: Json, scratch: str) -> str:
    """A container's file system: the host's, read-only, with private folders and the pod's volumes laid over it."""
    os.makedirs(scratch, exist_ok=True)
    mount("tmpfs", scratch, "tmpfs", 0, f"size={WRITABLE_SIZE},mode=755")
    root, layers = os.path.join(scratch, "root"), os.path.join(scratch, "layers")
    os.mkdir(root)
    os.mkdir(layers)
    mount("tmpfs", root, "tmpfs", 0, f"size={WRITABLE_SIZE},mode=755")
    resolved = [{**entry, "target": real(entry["target"])} for entry in spec["mounts"]]
    assemble("/", root, [entry["target"] for entry in resolved], layers)
    for folder in ("/tmp", "/run", "/dev/shm"):
        os.makedirs(root + folder, exist_ok=True)
        mount("tmpfs", root + folder, "tmpfs", MS_NOSUID | MS_NODEV, f"size={WRITABLE_SIZE},mode=1777")
    os.makedirs(root + "/proc", exist_ok=True)
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV)
    for hidden in spec["hidden"]:
        if os.path.isdir(root + hidden):
            mount("tmpfs", root + hidden, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for entry in sorted(resolved, key=lambda each: each["target"].count("/")):
        bind(entry["source"], root + entry["target"], entry.get("readOnly", False))
    return root


def assemble(source: str, target: str, points: list[str], layers: str) -> None:
    """Lay the host's folder `source` at `target`, so that mount points can be made below it wherever `points` ask for it.

    A folder that no point lies in is bound as it is. Others get an overlay; where the kernel refuses one (a folder that
    holds mounts cannot be one's lower layer in a user namespace), the folder is put together entry by entry.
    """
    wanted = [point for point in points if point.startswith(source.rstrip("/") + "/")]
    if not wanted:
        bind(source, target, source != "/dev")
        return
    if source != "/":
        upper, work = (os.path.join(layers, f"{kind}{len(os.listdir(layers))}") for kind in ("upper", "work"))
        os.makedirs(upper)
        os.makedirs(work)
        os.makedirs(target, exist_ok=True)
        try:
            mount("overlay", target, "overlay", 0, f"lowerdir={source},upperdir={upper},workdir={work},userxattr")
            return
        except OSError:
            mount("tmpfs", target, "tmpfs", 0, f"size={WRITABLE_SIZE},mode=755")
    for name in os.listdir(source):
        entry, place = os.path.join(source, name), os.path.join(target, name)
        if entry in PRIVATE:
            continue
        if os.path.islink(entry):
            os.symlink(os.readlink(entry), place)
        elif os.path.isdir(entry):
            assemble(entry, place, wanted, layers)
        elif os.path.isfile(entry):
            bind(entry, place, True)


def real(path: str) -> str:
    """A mount point with the links of the host's folders followed (`/var/run` is `/run`)."""
    folder, name = os.path.split(os.path.normpath("/" + path.lstrip("/")))
    return os.path.join(os.path.realpath(folder), name)


def enter_root(root: str) -> None:
    """Make `root` the root of this mount namespace."""
    os.chdir(root)
    check(libc.syscall(155, b".", b"."), "pivot_root") if os.uname().machine == "x86_64" else check(libc.syscall(41, b".", b"."), "pivot_root")
    check(libc.umount2(b".", MNT_DETACH), "detach the old root")
    os.chdir("/")


def become(spec: Json, trouble: int = 2) -> NoReturn:
    """Working directory, environment, then exec; never returns. Why the exec failed is written to `trouble`."""
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    environment = spec["env"]
    workdir = spec.get("workingDir") or "/"
    try:
        os.makedirs(workdir, exist_ok=True)
        os.chdir(workdir)
        os.umask(0o022)
        os.execvpe(spec["command"][0], spec["command"], environment)
    except OSError as error:
        reason = "no such file or directory" if error.errno == errno.ENOENT else os.strerror(error.errno or 0).lower()
        os.write(trouble, f'exec: "{spec["command"][0]}": {reason}'.encode() + (b"\n" if trouble == 2 else b""))
        os._exit(127 if error.errno == errno.ENOENT else 126)


class Log:
    """One container's log in the format of the container runtime interface, rotated once when it is full."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = open(path, "ab", buffering=0)  # noqa: SIM115
        self.partial = {1: b"", 2: b""}

    def write(self, channel: int, data: bytes) -> None:
        pending = self.partial[channel] + data
        lines = pending.split(b"\n")
        self.partial[channel] = lines.pop()
        stamp = now().encode()
        name = b"stdout" if channel == 1 else b"stderr"
        out = [b"%s %s F %s\n" % (stamp, name, line) for line in lines]
        while len(self.partial[channel]) > LINE_LIMIT:
            out.append(b"%s %s P %s\n" % (stamp, name, self.partial[channel][:LINE_LIMIT]))
            self.partial[channel] = self.partial[channel][LINE_LIMIT:]
        if out:
            self.emit(b"".join(out))

    def emit(self, data: bytes) -> None:
        try:
            if self.file.tell() > LOG_LIMIT:
                self.file.close()
                os.replace(self.path, self.path + ".1")
                self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115
            self.file.write(data)
        except OSError:
            pass

    def close(self) -> None:
        for channel in (1, 2):
            if self.partial[channel]:
                self.write(channel, b"\n")
        self.file.close()


def now() -> str:
    """The moment, in RFC 3339 with nanoseconds."""
    moment = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 10**9)) + f".{moment % 10**9:09d}Z"


class Container:
    """One started container."""

    def __init__(self, spec: Json, pid: int, streams: dict[int, int], stdin: int | None) -> None:
        self.spec = spec
        self.name = spec["name"]
        self.pid = pid
        self.streams = streams
        self.stdin = stdin
        self.log = Log(spec["log"])
        self.watchers: list[socket.socket] = []
        self.started = time.time()
        self.mounts = os.readlink(f"/proc/{pid}/ns/mnt")


class Shim:
    """The pod's event loop."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.selector = selectors.DefaultSelector()
        self.containers: dict[str, Container] = {}
        self.execs: dict[int, socket.socket] = {}
        self.ended: dict[int, int] = {}
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
        tty = spec.get("tty", False)
        ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
        stdin_read = stdin_write = -1
        if tty:
            master, slave = pty.openpty()
            ends = (slave, slave, slave)
        else:
            if spec.get("stdin"):
                stdin_read, stdin_write = os.pipe2(os.O_CLOEXEC)
            else:
                stdin_read = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            out_read, out_write = os.pipe2(os.O_CLOEXEC)
            err_read, err_write = os.pipe2(os.O_CLOEXEC)
            ends = (stdin_read, out_write, err_write)
        pid = os.fork()
        if pid == 0:
            self.child(spec, ends, tty, ready_write)
        os.close(ready_write)
        for end in set(ends):
            os.close(end)
        trouble = b""
        while chunk := os.read(ready_read, 4096):
            trouble += chunk
        os.close(ready_read)
        if trouble:
            raise OSError(trouble.decode(errors="replace"))
        streams = {master: 1} if tty else {out_read: 1, err_read: 2}
        container = Container(spec, pid, streams, master if tty else (stdin_write if stdin_write >= 0 else None))
        self.containers[container.name] = container
        for descriptor in streams:
            os.set_blocking(descriptor, False)
            self.selector.register(descriptor, selectors.EVENT_READ, lambda d=descriptor: self.output(container, d))
        write_file(spec["state"], {"pid": pid, "started": container.started, "mounts": container.mounts})
        self.tell({"container": container.name, "running": True})
        return pid

    def child(self, spec: Json, ends: tuple[int, int, int], tty: bool, ready: int) -> None:
        """In the new process: streams, mounts, exec. What goes wrong before the exec is told through `ready`."""
        try:
            os.setsid()
            for number, end in enumerate(ends):
                os.dup2(end, number, inheritable=True)
            if tty:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            check(libc.unshare(CLONE_NEWNS), "unshare the mount namespace")
            mount("", "/", "", MS_REC | MS_PRIVATE)
            enter_root(build_root(spec, os.path.join(self.folder, "scratch")))
        except OSError as error:
            os.write(ready, str(error).encode())
            os._exit(125)
        close_above(ready)
        become(spec, ready)

    def exec(self, asked: Json, descriptors: list[int]) -> int:
        """Run a command beside a container, in its namespaces, on the given streams."""
        container = self.containers[asked["container"]]
        if container.pid in self.ended:
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
                check(libc.setns(handle, CLONE_NEWNS), "enter the container's mounts")
                os.chdir("/")
                close_above(2)
            except OSError as error:
                os.write(2, f"{error}\n".encode())
                os._exit(126)
            become({**container.spec, "command": asked["command"], "env": {**container.spec["env"], **({"TERM": "xterm"} if asked["tty"] else {})}})
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
        """Send what the container writes from now on; take what is sent as its standard input."""
        connection.settimeout(None)
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
        answer_now(connection, b"{}\n")

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
                watcher.sendall(struct.pack(">BI", channel, len(data)) + data)
                watcher.setblocking(False)
            except OSError:
                self.detach(container, watcher)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a container; SIGKILL goes to everything that it started, too."""
        container = self.containers.get(name)
        if container is None or container.pid in self.ended:
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
                if container.pid == pid:
                    self.finish(container, code)

    def finish(self, container: Container, code: int) -> None:
        """A container's first process has ended: end the rest of its session, keep its last words, write down how."""
        self.ended[container.pid] = code
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
            os.close(descriptor)
        container.streams.clear()
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


def answer_now(connection: socket.socket, data: bytes) -> None:
    """Send on a connection that does not block."""
    try:
        connection.send(data)
    except OSError:
        pass


def write_file(path: str, value: Json) -> None:
    """Replace a small file as a whole."""
    temporary = path + ".new"
    with open(temporary, "w") as file:
        json.dump(value, file)
    os.replace(temporary, path)


def main() -> None:
    """Take the folder from the command line and the host name from its file."""
    folder = sys.argv[1]
    with open(os.path.join(folder, "sandbox.json")) as file:
        sandbox = json.load(file)
    mount("", "/", "", MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
    name = sandbox["hostname"].encode()
    check(libc.sethostname(name, len(name)), "set the host name")
    Shim(folder).run()


if __name__ == "__main__":
    main()
