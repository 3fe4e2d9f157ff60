"""Which folders containers do not see."""

from __future__ import annotations

from pathlib import Path

from varka.cluster.runtime import privacy


def test_private_folders_are_covered_and_needed_ones_are_not(tmp_path: Path) -> None:
    """Only folders that exist, and none that holds what a pod needs."""
    for name in (".ssh", ".config", ".local/state/varka/pods", "work"):
        (tmp_path / name).mkdir(parents=True)
    found = privacy.folders(tmp_path, [tmp_path / ".config/tool/python"])
    assert [path for path in found if path.is_relative_to(tmp_path)] == [tmp_path / ".ssh", tmp_path / ".local/state"]
