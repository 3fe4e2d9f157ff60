from __future__ import annotations

from pathlib import Path

from varka.agent import rootfs


def test_the_own_root_is_taken_as_it_is() -> None:
    """In its own container the agent needs no detour."""
    assert rootfs.inside(Path("/"), "etc/resolv.conf") == Path("/etc/resolv.conf")
    assert rootfs.inside(Path("/"), "/etc/resolv.conf") == Path("/etc/resolv.conf")


def test_absolute_links_stay_inside(tmp_path: Path) -> None:
    """`/var/run` → `/run` of a container leads to the container's `/run`."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run").symlink_to("/run")
    assert rootfs.inside(tmp_path, "var/run/secrets/x") == tmp_path / "run/secrets/x"


def test_relative_links_are_followed(tmp_path: Path) -> None:
    """As the kubelet's `..data` does for ConfigMaps."""
    (tmp_path / "etc" / "..2026").mkdir(parents=True)
    (tmp_path / "etc" / "..2026" / "root-cert.pem").write_text("x")
    (tmp_path / "etc" / "..data").symlink_to("..2026")
    (tmp_path / "etc" / "root-cert.pem").symlink_to("..data/root-cert.pem")
    assert rootfs.inside(tmp_path, "/etc/root-cert.pem").read_text() == "x"


def test_nobody_climbs_out(tmp_path: Path) -> None:
    """Neither by `..` nor by a link that says so."""
    (tmp_path / "up").symlink_to("../../../../etc")
    assert rootfs.inside(tmp_path, "../../etc/passwd") == tmp_path / "etc/passwd"
    assert rootfs.inside(tmp_path, "up/passwd") == tmp_path / "etc/passwd"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """After forty of them the path is taken as written."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert rootfs.inside(tmp_path, "a/x").parent in {tmp_path / "a", tmp_path / "b"}
