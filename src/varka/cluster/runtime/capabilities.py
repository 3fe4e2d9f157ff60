"""Which Linux capabilities a container keeps: the default set of container engines, as its security context changes it. Pure.

They count inside the pod's namespaces only; in the machine's own, the cluster has no rights beyond its user's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_ALL = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK
IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
_DEFAULT = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT AUDIT_WRITE SETFCAP"
_NEVER = "SYS_ADMIN SYS_PTRACE SYS_MODULE SYS_RAWIO BPF PERFMON CHECKPOINT_RESTORE MAC_ADMIN MAC_OVERRIDE"

NUMBERS: Mapping[str, int] = {name: number for number, name in enumerate(_ALL.split())}
"""Names without `CAP_` → numbers (linux/capability.h)."""
DEFAULT = frozenset(_DEFAULT.split())
"""Docker's and containerd's, less MKNOD, which a user namespace does not honour."""
NEVER = frozenset(_NEVER.split())
"""Would let a container leave its namespaces for the cluster's; not even `privileged` gives them."""
ALWAYS = frozenset({"DAC_OVERRIDE"})
"""One user is all users here, and files that a program made for another one have to stay readable to it."""


def kept(security: Mapping[str, Any], granted: Iterable[str] = ()) -> list[int]:
    """The numbers of the capabilities that a container with this `securityContext` has; the image's recipe may grant more."""
    wanted = set(NUMBERS) if security.get("privileged") else set(DEFAULT)
    changes = security.get("capabilities") or {}
    dropped = {_plain(name) for name in changes.get("drop") or []}
    added = {_plain(name) for name in changes.get("add") or []}
    wanted = set() if "ALL" in dropped else wanted - dropped
    wanted |= set(NUMBERS) if "ALL" in added else added
    wanted |= {_plain(name) for name in granted} | ALWAYS
    return sorted(NUMBERS[name] for name in wanted - NEVER if name in NUMBERS)


def _plain(name: str) -> str:
    return str(name).upper().removeprefix("CAP_")
