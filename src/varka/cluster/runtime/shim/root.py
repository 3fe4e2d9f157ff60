"""A container's view of the machine: its file system, its devices, and what it may do.

The host's files are there, read-only, with private folders and the pod's volumes laid over them. A container has its own
mount namespace, a handful of devices, and only the capabilities that it was given: without them it can neither enter the
shim's namespaces, from where the cluster's private files can be read, nor change a mount. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    Json = dict[str, Any]

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_PIVOT_ROOT = 155 if os.uname().machine == "x86_64" else 41
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
PR_CAPBSET_DROP, LAST_CAPABILITY = 24, 40
PRIVATE = {"/proc", "/tmp", "/run", "/dev"}
"""Host folders that no container sees: each has its own."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
WRITABLE_SIZE = "64m"
"""The most that a container can write into a folder that is no volume."""
libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Turn a failed libc call into an OSError that says what was tried."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    check(libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()), f"mount {source} on {target}")


def memory(target: str, size: int) -> None:
    """A file system in memory of `size` bytes at most (0: the kernel's own limit), unless there is one."""
    if not os.path.ismount(target):
        mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=777{f',size={size}' if size else ''}")


def bind(source: str, target: str, read_only: bool, nested: list[tuple[str, str]] | None = None) -> None:
    """Bind-mount with everything mounted below, making the mount point.

    `nested` are (source, target) of mounts that will come below: their points are made while that is still possible.
    """
    make_point(source, target)
    mount(source, target, "", MS_BIND | MS_REC)
    for inner_source, inner_target in nested or []:
        make_point(inner_source, inner_target)
    if read_only:
        attributes = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
        check(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, attributes, len(attributes)), f"make {target} read-only")


def make_point(source: str, target: str) -> None:
    """A folder or an empty file to mount `source` on, if there is none."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target) or os.path.islink(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(target):
            os.unlink(target)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


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
    for folder in ("/tmp", "/run"):
        os.makedirs(root + folder, exist_ok=True)
        mount("tmpfs", root + folder, "tmpfs", MS_NOSUID | MS_NODEV, f"size={WRITABLE_SIZE},mode=1777")
    make_devices(root + "/dev")
    os.makedirs(root + "/proc", exist_ok=True)
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV)
    hide("/", root, spec["hidden"])
    for entry in sorted(resolved, key=lambda each: each["target"].count("/")):
        below = [(other["source"], root + other["target"]) for other in resolved if other["target"].startswith(entry["target"].rstrip("/") + "/")]
        bind(entry["source"], root + entry["target"], entry.get("readOnly", False), below)
        hide(entry["source"], root + entry["target"], spec["hidden"])
    return root


def hide(source: str, target: str, hidden: list[str]) -> None:
    """Cover the `hidden` folders that lie in the host's folder `source`, which is mounted at `target`."""
    for folder in hidden:
        place = target + "/" + os.path.relpath(folder, source)
        if folder.startswith(source.rstrip("/") + "/") and os.path.isdir(place):
            mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")


def make_devices(folder: str) -> None:
    """The devices that every program expects, and terminals of its own."""
    os.makedirs(folder, exist_ok=True)
    mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=1m,mode=755")
    for name in DEVICES:
        if os.path.exists(f"/dev/{name}"):
            bind(f"/dev/{name}", f"{folder}/{name}", False)
    for name, kind, data in (
        ("shm", "tmpfs", f"size={WRITABLE_SIZE},mode=1777"),
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=620"),
        ("mqueue", "mqueue", ""),
    ):
        os.mkdir(f"{folder}/{name}")
        try:
            mount(kind, f"{folder}/{name}", kind, MS_NOSUID | MS_NOEXEC, data)
        except OSError:
            if name == "shm":
                raise
    links = {
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
        "ptmx": "pts/ptmx",
        "core": "/proc/kcore",
    }
    for name, target in links.items():
        os.symlink(target, f"{folder}/{name}")


def limit(kept: list[int]) -> None:
    """Give up every capability but those `kept` for good: what is executed next cannot have them."""
    for number in range(LAST_CAPABILITY + 1):
        if number not in kept:
            libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(number), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def assemble(source: str, target: str, points: list[str], layers: str) -> None:
    """Lay the host's folder `source` at `target`, so that mount points can be made below it wherever `points` ask for it.

    A folder that no point lies in is bound as it is. Others get an overlay; where the kernel refuses one (a folder that
    holds mounts cannot be one's lower layer in a user namespace), or where nothing could be made in it because its owner is
    not mapped (the host's own folders, for an ordinary user), the folder is put together entry by entry.
    """
    wanted = [point for point in points if point.startswith(source.rstrip("/") + "/")]
    if not wanted:
        bind(source, target, True)
        return
    if source != "/":
        upper, work = (os.path.join(layers, f"{kind}{len(os.listdir(layers))}") for kind in ("upper", "work"))
        os.makedirs(upper)
        os.makedirs(work)
        os.makedirs(target, exist_ok=True)
        try:
            if not all(can_grow(point) for point in wanted):
                raise PermissionError
            mount("overlay", target, "overlay", 0, f"lowerdir={source},upperdir={upper},workdir={work},userxattr")
            return
        except OSError:
            mount("tmpfs", target, "tmpfs", 0, f"size={WRITABLE_SIZE},mode=755")
    for name in entries(source):
        entry, place = os.path.join(source, name), os.path.join(target, name)
        if entry in PRIVATE:
            continue
        if os.path.islink(entry):
            os.symlink(os.readlink(entry), place)
        elif os.path.isdir(entry):
            assemble(entry, place, wanted, layers)
        elif os.path.isfile(entry):
            bind(entry, place, True)


def entries(folder: str) -> list[str]:
    """The names in a folder; none when it is closed to us, as /root is to an ordinary user."""
    try:
        return os.listdir(folder)
    except PermissionError:
        return []


def can_grow(point: str) -> bool:
    """Whether a mount point is there, or could be made in the deepest folder on its way that is."""
    if os.path.exists(point):
        return True
    folder = os.path.dirname(point)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return os.stat(folder).st_uid == os.geteuid()


def real(path: str) -> str:
    """A mount point with the links of the host's folders followed (`/var/run` is `/run`)."""
    folder, name = os.path.split(os.path.normpath("/" + path.lstrip("/")))
    return os.path.join(os.path.realpath(folder), name)


def enter_root(root: str) -> None:
    """Make `root` the root of this mount namespace."""
    os.chdir(root)
    check(libc.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
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
        limit(spec["capabilities"])
        os.execvpe(spec["command"][0], spec["command"], environment)
    except OSError as error:
        os.write(trouble, f'exec: "{spec["command"][0]}": {complaint(spec["command"][0], error)}'.encode() + (b"\n" if trouble == 2 else b""))
        os._exit(127 if error.errno == errno.ENOENT else 126)


def complaint(program: str, error: OSError) -> str:
    """Why a program could not be executed, in the words of container engines."""
    if error.errno != errno.ENOENT:
        return os.strerror(error.errno or 0).lower()
    return f"stat {program}: no such file or directory" if "/" in program else "executable file not found in $PATH"
