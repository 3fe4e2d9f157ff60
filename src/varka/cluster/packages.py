"""Programs of other projects that an image stands for: from PATH, else from this distribution's package, unpacked without root.

Unpacking starts no service and changes nothing of the system, which is why it is preferred to an installation. A program
that cannot be had keeps only its own containers waiting, with a message that says what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from varka.base.errors import VarkaError

DOWNLOAD_SECONDS = 300.0
FETCH = "varka image fetch"
"""The command that people are told to use."""


def folder() -> Path:
    """Where packages are unpacked, one folder each: the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "varka" / "packages"


def find(program: str, package: str = "") -> Path | None:
    """A program in PATH, or in the unpacked package (of the same name unless given); None when there is none."""
    found = shutil.which(program)
    if found is not None:
        return Path(found).resolve()
    unpacked = folder() / (package or program) / "usr/bin" / program
    return unpacked if os.access(unpacked, os.X_OK) else None


def advice(program: str) -> str:
    """What to do when a program is missing."""
    return f"the program {program} is not on this machine; get it with: {FETCH} {program}, or install the package {program} of this system"


def fetch(package: str) -> Path:
    """Download a package and unpack it into the user's cache; its folder. VarkaError when that cannot be done here."""
    wanted = folder() / package
    apt, unpack = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or unpack is None:
        raise VarkaError(f"the package {package} cannot be fetched: this system has no apt-get", f"install {package} with this system's package manager")
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder(), prefix=f".{package}-") as name:
        draft = Path(name)
        archive = _download(apt, package, draft)
        tree = draft / "tree"
        _run([unpack, "--extract", str(archive), str(tree)], draft, package)
        if wanted.exists():
            shutil.rmtree(wanted)
        tree.rename(wanted)
    return wanted


def _download(apt: str, package: str, draft: Path) -> Path:
    """The archive; with package lists of its own when the system's are missing or old."""
    try:
        _run([apt, "-q", "download", package], draft, package)
    except VarkaError:
        state, cache = draft / "state", draft / "cache"
        for each in (state / "lists/partial", cache / "archives/partial"):
            each.mkdir(parents=True)
        own = ["-o", f"Dir::State={state}", "-o", "Dir::State::status=/var/lib/dpkg/status", "-o", f"Dir::Cache={cache}"]
        _run([apt, "-q", *own, "update"], draft, package)
        _run([apt, "-q", *own, "download", package], draft, package)
    found = sorted(draft.glob("*.deb"))
    if not found:
        raise VarkaError(f"the package {package} was not downloaded", f"install {package} with this system's package manager")
    return found[0]


def _run(command: list[str], where: Path, package: str) -> None:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
        problem = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        raise VarkaError(f"fetching the package {package} failed: {problem}", f"install {package} with this system's package manager")
