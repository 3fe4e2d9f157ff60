"""The first process of a cluster's namespaces: makes them, keeps the node's processes running, reaps, and does nothing else.

Two processes: the outer one leaves the host's namespaces and waits; the inner one is pid 1 of the new process namespace, so
when it ends the kernel ends everything in it. One uid is mapped, root inside, whoever started it: the path is the same with
and without root.

`init` also opens the sockets on which the node listens and hands them to each node process it starts. While a node is being
restarted, connections and name queries wait in these sockets instead of being refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from varka.cluster import children, settings, state

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_NAMESPACES = _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | _CLONE_NEWPID | _CLONE_NEWNET
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_IP_FREEBIND = 15
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_GRACE = 6.0
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2); OSError with the target in its text."""
    if _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {target}: {os.strerror(number)}")


def leave_host() -> None:
    """Enter new namespaces, mapping the caller's uid and gid to root."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(ctypes.c_int(_NAMESPACES)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _private_run(root: Path) -> None:
    """An empty /run, so that no socket of the host's services is in reach; the state folder stays if it lies below."""
    keep = [path for path in (root, Path(sys.prefix)) if str(path.resolve()).startswith("/run/")]
    held = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) for path in keep]
    resolver = Path(os.path.realpath("/etc/resolv.conf"))
    mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
    for path, handle in held:
        path.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{handle}", str(path), "", _MS_BIND | _MS_REC)
        os.close(handle)
    if str(resolver).startswith("/run/") and not resolver.exists():
        resolver.parent.mkdir(parents=True, exist_ok=True)
        resolver.touch()


def _prepare(folder: state.StateFolder, config: settings.ClusterSettings) -> None:
    mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _private_run(folder.root)
    resolver = folder.run / "resolv.conf"
    resolver.write_text(f"nameserver {config.dns_ip}\nsearch svc.{config.cluster_domain} {config.cluster_domain}\noptions ndots:5\n")
    with contextlib.suppress(OSError):
        mount(str(resolver), os.path.realpath("/etc/resolv.conf"), "", _MS_BIND)
    name = config.name.encode()
    _libc.sethostname(name, len(name))
    _loopback_up()


def _forget_pods(folder: state.StateFolder) -> None:
    """No pod outlives its namespaces, so what an earlier init's pods have left describes processes that are gone."""
    for path in folder.pods.iterdir():
        shutil.rmtree(path, ignore_errors=True)


def _loopback_up() -> None:
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        answer = fcntl.ioctl(handle, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", answer)[1]
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _tcp(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    listener.bind((address, port))
    listener.listen(1024)
    return listener


def _unix(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(1024)
    return listener


def open_sockets(folder: state.StateFolder, config: settings.ClusterSettings) -> dict[str, socket.socket]:
    """The node's listeners by name, bound before their addresses exist (IP_FREEBIND)."""
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    names.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    names.bind((config.dns_ip, 53))
    return {
        "dns-udp": names,
        "dns-tcp": _tcp(config.dns_ip, 53),
        "egress": _tcp(config.node_ip, config.egress_port),
        "api-tcp": _tcp(config.node_ip, config.node_api_port),
        "api-unix": _unix(folder.api_socket),
        "node": _unix(folder.node_socket),
    }


def _kept(folder: state.StateFolder, config: settings.ClusterSettings, python: str) -> list[children.Child]:
    listeners = open_sockets(folder, config)
    handles = tuple(listener.fileno() for listener in listeners.values())
    handed = ",".join(f"{name}:{listener.detach()}" for name, listener in listeners.items())
    node = children.Child(
        name="node",
        command=[python, "-P", "-m", "varka.cluster.node", "--state", str(folder.root)],
        log=folder.logs / "node.log",
        env={"VARKA_SOCKETS": handed},
        pass_fds=handles,
    )
    others = [
        children.Child(
            name=name,
            command=[part.replace("{python}", python).replace("{state}", str(folder.root)) for part in command],
            log=folder.logs / f"{name}.log",
        )
        for name, command in config.commands.items()
    ]
    return [node, *others]


def _inner(folder: state.StateFolder, python: str) -> int:
    children.die_with_parent()
    config = settings.load(folder.settings)
    _prepare(folder, config)
    _forget_pods(folder)

    def report(all_children: list[children.Child]) -> None:
        state.write_json(folder.init_file, {"children": {child.name: child.record() for child in all_children}})

    children.Keeper(_kept(folder, config, python), report).run(_GRACE)
    return 0


def main(arguments: list[str]) -> int:
    """`init.py STATE-FOLDER PYTHON`; returns when the inner process has ended."""
    folder, python = state.StateFolder(Path(arguments[0])), arguments[1]
    blocked = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    leave_host()
    inner = os.fork()
    if inner == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        os._exit(_inner(folder, python))
    for number in blocked:
        signal.signal(number, lambda received, _: os.kill(inner, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
    return os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
