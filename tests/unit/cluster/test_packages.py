from __future__ import annotations

from pathlib import Path

import pytest

from varka.base.errors import VarkaError
from varka.cluster import packages


def test_a_program_is_found_in_the_unpacked_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program in PATH, the package in the user's cache has it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert packages.find("prometheus") is None
    program = tmp_path / "varka/packages/prometheus/usr/bin/promtool"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert packages.find("promtool", "prometheus") == program


def test_without_apt_people_are_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system with another package manager is asked to use it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(VarkaError, match="install prometheus with this system's package manager"):
        packages.fetch("prometheus")
