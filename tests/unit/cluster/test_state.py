from __future__ import annotations

import os
from pathlib import Path

import pytest

from varka.base.errors import VarkaError
from varka.cluster import settings, state


def test_the_folder_is_private(tmp_path: Path) -> None:
    """Nobody else may read what is below it."""
    folder = state.StateFolder(tmp_path / "varka")
    folder.create()
    assert (folder.root.stat().st_mode & 0o777, folder.run.stat().st_mode & 0o777) == (0o700, 0o700)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message has the path, the hint the variable."""
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(VarkaError, match=r"cannot be written: Not a directory; .*VARKA_HOME"):
        state.StateFolder(blocker / "varka").create()


def test_a_path_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    """A UNIX socket's path has 107 bytes."""
    with pytest.raises(VarkaError, match="too long for sockets"):
        state.StateFolder(tmp_path / ("x" * 100)).create()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"VARKA_HOME": "/var/tmp/v", "XDG_STATE_HOME": "/x"}, "/var/tmp/v/two"),
        ({"XDG_STATE_HOME": "/x"}, "/x/varka/two"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/varka/two"),
    ],
)
def test_the_folder_of_a_name(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    """VARKA_HOME, then XDG_STATE_HOME, then the home folder."""
    for name in ("VARKA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(state.folder("two").root) == expected


def test_a_reused_pid_is_not_ours() -> None:
    """The start time must agree as well."""
    start = state.start_time(os.getpid())
    assert start is not None
    assert state.is_alive({"pid": os.getpid(), "start": start})
    assert not state.is_alive({"pid": os.getpid(), "start": start - 1})


def test_settings_survive_their_file(tmp_path: Path) -> None:
    """Saved and loaded are equal, tuples included."""
    config = settings.ClusterSettings(name="two", api_port=7443, egress=False, catalogs=("/a.yaml",), commands={"agent": ["x"]})
    settings.save(config, tmp_path / "settings.json")
    assert settings.load(tmp_path / "settings.json") == config


def test_an_unknown_setting_is_an_error(tmp_path: Path) -> None:
    """A typing error in the file is not ignored."""
    (tmp_path / "settings.json").write_text('{"api_prot": 1}')
    with pytest.raises(VarkaError, match="damaged"):
        settings.load(tmp_path / "settings.json")
