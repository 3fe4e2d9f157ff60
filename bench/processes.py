"""What processes of a cluster cost in memory: proportional set sizes from `/proc`, by kind of process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
KINDS = ("node", "node agent", "istiod", "relay, supervisor, init", "Envoys", "shims", "applications")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process."""

    pid: int
    arguments: tuple[str, ...]
    pss_kib: int


def pss_kib(rollup: str) -> int:
    """The field `Pss` of a `smaps_rollup` file, in KiB; 0 when there is none."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def parent(stat: str) -> int:
    """The parent's pid in a `stat` file; the command's name in brackets may hold anything."""
    return int(stat.rpartition(")")[2].split()[1])


def descendants(root: int, parents: Mapping[int, int]) -> set[int]:
    """`root` and everything below it, from a map of pid to parent."""
    children: dict[int, list[int]] = {}
    for pid, above in parents.items():
        children.setdefault(above, []).append(pid)
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def kind(arguments: Iterable[str]) -> str:
    """Which of KINDS a command line is."""
    words = list(arguments)
    program, text = Path(words[0]).name if words else "", " ".join(words)
    if program == "envoy":
        return "Envoys"
    for mark, name in (
        ("varka.cluster.node", "node"),
        ("varka.agent", "node agent"),
        ("varka.control", "istiod"),
        ("varka.cluster.relay", "relay, supervisor, init"),
    ):
        if f"-m {mark}" in text:
            return name
    if any(word.endswith(("cluster/init.py", "supervisor.py")) for word in words) or program == "unshare":
        return "relay, supervisor, init"
    return "shims" if any("shim" in Path(word).name for word in words[:6]) else "applications"


def by_kind(processes: Iterable[Process]) -> dict[str, tuple[int, float]]:
    """Kind → number of processes and MB (10^6 bytes)."""
    found = dict.fromkeys(KINDS, (0, 0.0))
    for process in processes:
        name = kind(process.arguments)
        count, size = found[name]
        found[name] = (count + 1, size + process.pss_kib * 1024 / 1e6)
    return found


def below(root: int) -> list[Process]:
    """`root` and its descendants as they are now."""
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = parent((entry / "stat").read_text())
            except OSError:
                continue
    found = []
    for pid in sorted(descendants(root, parents)):
        try:
            arguments = tuple((PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
            found.append(Process(pid=pid, arguments=arguments, pss_kib=pss_kib((PROC / str(pid) / "smaps_rollup").read_text())))
        except OSError:
            continue
    return found
