"""Which of the user's files no container may see, although containers see this machine's file system.

A pod runs with the rights of whoever started the cluster: what protects a private file from other users does not protect it
from a pod. So the folders in which people keep keys and tokens are covered by empty ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

NAMES = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store", ".config", ".mozilla", ".thunderbird", ".vault", ".local/share/keyrings",
    ".local/state",
)  # fmt: skip
SYSTEM = ("/root", "/etc/ssl/private", "/etc/ssh", "/var/lib/docker", "/var/lib/kubelet", "/etc/kubernetes", "/var/spool", "/boot")
"""Of the machine; of interest when the cluster is started by root, whose files these are."""


def folders(home: Path, needed: Iterable[Path]) -> tuple[Path, ...]:
    """The folders to cover; one that holds a `needed` path (the program itself, the samples) is left alone."""
    kept = [path.resolve() for path in needed]
    wanted = [*(home / name for name in NAMES), *map(Path, SYSTEM)]
    return tuple(folder for folder in wanted if folder.is_dir() and not any(path.is_relative_to(folder.resolve()) for path in kept))
