"""Image names and their recipes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from varka.base.errors import VarkaError
from varka.cluster.runtime import catalog
from varka.cluster.runtime.catalog import Catalog, HostMount, Recipe

PLACES = {"python": "/py", "package": "/pkg", "samples": "/samples", "state": "/state"}


def write(path: Path, text: str) -> Path:
    """A file with this text."""
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("nginx", "nginx"),
        ("docker.io/library/nginx:1.27", "nginx:1.27"),
        ("index.docker.io/curlimages/curl", "curlimages/curl"),
        ("docker.io/istio/proxyv2:1.28.2@sha256:aa", "istio/proxyv2:1.28.2"),
        ("ghcr.io/a/b:c", "ghcr.io/a/b:c"),
    ],
)
def test_canonical(given: str, expected: str) -> None:
    """Docker's default registry and namespace and a digest do not count."""
    assert catalog.canonical(given) == expected


@pytest.mark.parametrize(("given", "expected"), [("nginx:1.27", "nginx"), ("host:5000/a/b", "host:5000/a/b"), ("host:5000/a/b:1", "host:5000/a/b")])
def test_untagged(given: str, expected: str) -> None:
    """A registry's port is no tag."""
    assert catalog.untagged(given) == expected


def test_a_recipe_without_tag_stands_for_every_tag() -> None:
    """The base catalog knows curl under all its names."""
    found = Catalog([catalog.BASE], PLACES)
    names = ("curlimages/curl", "docker.io/curlimages/curl:8.16.0", "curlimages/curl@sha256:00")
    assert {recipe.image for name in names if (recipe := found.find(name))} == {"curlimages/curl"}


def test_a_recipe_with_tag_wins_over_one_without(tmp_path: Path) -> None:
    """The more exact name counts."""
    file = write(tmp_path / "c.yaml", "images:\n  a/b: {cmd: [one]}\n  a/b:2: {cmd: [two]}\n")
    found = Catalog([file], {})
    assert [recipe.cmd for name in ("a/b:1", "a/b:2") if (recipe := found.find(name))] == [("one",), ("two",)]


def test_later_files_win_and_changes_count_at_once(tmp_path: Path) -> None:
    """A user's file overrides the base, also when it is written while the cluster runs."""
    user = tmp_path / "images.yaml"
    found = Catalog([catalog.BASE, user], PLACES)
    before = found.find("nginx")
    write(user, "images:\n  nginx: {cmd: [mine]}\n")
    os.utime(user, ns=(1, 1))
    after = found.find("nginx")
    assert before is not None and after is not None
    assert (before.cmd[0], after.cmd) == ("/py", ("mine",))


def test_a_recipe_has_all_its_parts(tmp_path: Path) -> None:
    """Every key is read, and the places of this machine are filled in."""
    text = (
        "images:\n  docker.io/x/y:\n    entrypoint: ['{python}', -m, z]\n    cmd: [serve]\n    env: {A: '{state}/a'}\n    workdir: /w\n"
        "    mounts: [{source: '{state}/run', target: /run/x, readOnly: true}]\n    programs: '{package}/bin'\n    capabilities: [NET_ADMIN]\n"
    )
    assert Catalog([write(tmp_path / "c.yaml", text)], PLACES).find("x/y") == Recipe(
        image="x/y",
        entrypoint=("/py", "-m", "z"),
        cmd=("serve",),
        env={"A": "/state/a"},
        workdir="/w",
        mounts=(HostMount(source="/state/run", target="/run/x", read_only=True),),
        programs="/pkg/bin",
        capabilities=("NET_ADMIN",),
    )


def test_placeholders_of_a_container_are_filled_late() -> None:
    """What differs from pod to pod is filled in for each container."""
    recipe = Recipe(image="x", entrypoint=("run", "{pod_name}"), mounts=(HostMount(source="/s/{pod_uid}", target="/t"),))
    filled = recipe.fill({"pod_uid": "u1", "pod_name": "p"})
    assert (filled.entrypoint, filled.mounts[0].source) == (("run", "p"), "/s/u1")


def test_a_damaged_file_spoils_only_its_own_images(tmp_path: Path) -> None:
    """Known images still start; asking for an unknown one names the file."""
    found = Catalog([catalog.BASE, write(tmp_path / "images.yaml", "images:\n  mine: {command: [x]}\n")], PLACES)
    assert found.find("busybox") is not None
    with pytest.raises(VarkaError, match=r"images\.yaml cannot be used: image mine has the unknown key 'command'"):
        found.find("mine")


def test_an_unknown_image_has_no_recipe() -> None:
    """No recipe is no error here."""
    assert Catalog([catalog.BASE], PLACES).find("foo/bar:1") is None


def test_images_are_listed() -> None:
    """Sorted, with the names that people use."""
    names = Catalog([catalog.BASE], PLACES).images()
    assert names == sorted(names)
    assert {"busybox", "curlimages/curl", "nginx", "python", "registry.k8s.io/pause"} <= set(names)


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [([], [], ["entry", "default"]), ([], ["a"], ["entry", "a"]), (["c"], [], ["c"]), (["c"], ["a"], ["c", "a"])],
)
def test_command_replaces_all_and_args_the_default(command: list[str], args: list[str], expected: list[str]) -> None:
    """As Kubernetes' table of command and arguments has it."""
    assert catalog.command_line(Recipe(image="x", entrypoint=("entry",), cmd=("default",)), command, args) == expected
