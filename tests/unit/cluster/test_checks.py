from __future__ import annotations

import errno
from pathlib import Path

import pytest

from varka.cluster import checks


def machine(tmp_path: Path, settings: dict[str, str] | None = None, release: str = "ID=debian\n", *, root: bool = False) -> checks.Machine:
    """A machine with these kernel settings and no programs."""
    for name, value in (settings or {}).items():
        file = tmp_path / "sys" / name.replace(".", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")
    (tmp_path / "os-release").write_text(release)
    return checks.Machine(proc=tmp_path, os_release=tmp_path / "os-release", root=root, which=lambda _: None)


def denied() -> OSError:
    """What unshare says when it is forbidden."""
    return PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize(
    ("settings", "found", "mend"),
    [
        ({"kernel.apparmor_restrict_unprivileged_userns": "1"}, "forbidden by AppArmor", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        ({"user.max_user_namespaces": "0"}, "forbidden by user.max_user_namespaces", "sudo sysctl -w user.max_user_namespaces=15000"),
        ({"kernel.unprivileged_userns_clone": "0"}, "forbidden by kernel.unprivileged_userns_clone", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    ],
)
def test_forbidden_namespaces_name_the_setting_and_the_mend(tmp_path: Path, settings: dict[str, str], found: str, mend: str) -> None:
    """The user is given the command for the very setting that forbids it."""
    check = checks.namespaces(machine(tmp_path, settings), denied)
    assert (check.ok, check.found, check.mend) == (False, found, mend)


def test_allowed_namespaces_need_no_mend(tmp_path: Path) -> None:
    """The trial decides, not the settings."""
    assert checks.namespaces(machine(tmp_path, {"kernel.apparmor_restrict_unprivileged_userns": "1"}), lambda: None).ok


@pytest.mark.parametrize(
    ("release", "root", "command"),
    [
        ("ID=debian\n", False, "sudo apt-get install -y nftables"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True, "apt-get install -y nftables"),
        ("ID=fedora\n", False, "sudo dnf install -y nftables"),
        ("ID=other\n", False, "install the packages nftables"),
    ],
)
def test_the_mend_of_a_missing_tool_fits_the_distribution(tmp_path: Path, release: str, root: bool, command: str) -> None:
    """os-release decides about the package tool, root about sudo."""
    nft = next(check for check in checks.tools(machine(tmp_path, release=release, root=root)) if check.name == "nft")
    assert (nft.ok, nft.required, nft.mend) == (False, True, command)
