"""Volumes and what is in them."""

from __future__ import annotations

import base64
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from varka.cluster.runtime import volumes
from varka.cluster.runtime.volumes import MountError, Volumes


class Cluster:
    """ConfigMaps and Secrets by (kind, name), and tokens that count up."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {
            ("configmap", "config"): {"data": {"a.txt": "A", "b.txt": "B"}, "binaryData": {"c.bin": base64.b64encode(b"\xff").decode()}},
            ("secret", "secret"): {"data": {"key": base64.b64encode(b"hidden").decode()}},
        }
        self.minted: list[tuple[str, int]] = []
        self.life = 3600.0

    async def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object."""
        return self.objects.get((kind, name))

    async def mint(self, pod: dict[str, Any], audience: str, seconds: int) -> tuple[str, float]:
        """A token."""
        self.minted.append((audience, seconds))
        return f"token-{len(self.minted)}", time.time() + self.life


@pytest.fixture
def cluster() -> Cluster:
    """A fresh one."""
    return Cluster()


def pod(*found: dict[str, Any], **labels: str) -> dict[str, Any]:
    """A pod with these volumes."""
    meta = {"name": "p", "namespace": "default", "uid": "u", "labels": labels}
    return {"metadata": meta, "spec": {"containers": [{"name": "c"}], "volumes": list(found)}}


async def prepared(tmp_path: Path, cluster: Cluster, *found: dict[str, Any]) -> Volumes:
    """The volumes of such a pod."""
    made = Volumes(pod(*found), tmp_path / "volumes", cluster.find, cluster.mint)
    await made.prepare(pod(*found, app="web"))
    return made


def content(path: Path) -> dict[str, bytes]:
    """Names that a container sees → what is in them."""
    return {entry.name: entry.read_bytes() for entry in path.iterdir() if not entry.name.startswith("..")}


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_config_map(tmp_path: Path, cluster: Cluster) -> None:
    """Every key is a file, binary ones too."""
    made = await prepared(tmp_path, cluster, {"name": "v", "configMap": {"name": "config"}})
    assert content(made.paths["v"]) == {"a.txt": b"A", "b.txt": b"B", "c.bin": b"\xff"}
    assert (mode(made.paths["v"] / "a.txt"), made.references) == (0o644, {("configmap", "config")})


async def test_items_choose_names_and_modes(tmp_path: Path, cluster: Cluster) -> None:
    """Paths may have folders."""
    items = [{"key": "key", "path": "deep/down/file", "mode": 0o400}]
    made = await prepared(tmp_path, cluster, {"name": "v", "secret": {"secretName": "secret", "items": items, "defaultMode": 0o440}})
    file = made.paths["v"] / "deep/down/file"
    assert (file.read_bytes(), mode(file)) == (b"hidden", 0o400)


async def test_a_projected_volume(tmp_path: Path, cluster: Cluster) -> None:
    """Tokens, objects and fields side by side."""
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607, "audience": "istio-ca"}},
        {"configMap": {"name": "config", "items": [{"key": "a.txt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    made = await prepared(tmp_path, cluster, {"name": "v", "projected": {"sources": sources}})
    assert content(made.paths["v"]) == {"token": b"token-1", "ca.crt": b"A", "labels": b'app="web"'}
    assert (cluster.minted, mode(made.paths["v"] / "token")) == ([("istio-ca", 3607)], 0o600)


async def test_a_token_is_renewed_at_four_fifths_of_its_life(tmp_path: Path, cluster: Cluster) -> None:
    """Not before, and the volume says when."""
    volume = {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    made = await prepared(tmp_path, cluster, volume)
    assert made.renew_at == pytest.approx(time.time() + 0.8 * 3600, abs=5)
    await made.prepare(pod(volume))
    assert len(cluster.minted) == 1
    cluster.life = 0.0
    renewing = await prepared(tmp_path / "other", cluster, volume)
    await renewing.prepare(pod(volume))
    assert (renewing.paths["v"] / "token").read_text() == "token-3"


async def test_an_update_is_seen_as_a_whole(tmp_path: Path, cluster: Cluster) -> None:
    """Whoever has the folder open keeps the old content; the names lead to the new one, and the old folder goes."""
    volume = {"name": "v", "configMap": {"name": "config"}}
    made = await prepared(tmp_path, cluster, volume)
    path = made.paths["v"]
    before, inode = os.readlink(path / "..data"), path.stat().st_ino
    cluster.objects["configmap", "config"] = {"data": {"a.txt": "new", "d.txt": "D"}}
    await made.prepare(pod(volume))
    assert content(path) == {"a.txt": b"new", "d.txt": b"D"}
    assert path.stat().st_ino == inode
    assert not (path / before).exists()


async def test_nothing_is_written_when_nothing_changed(tmp_path: Path, cluster: Cluster) -> None:
    """Programs that watch their files are left in peace."""
    volume = {"name": "v", "configMap": {"name": "config"}}
    made = await prepared(tmp_path, cluster, volume)
    before = os.readlink(made.paths["v"] / "..data")
    await made.prepare(pod(volume))
    assert os.readlink(made.paths["v"] / "..data") == before


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "none"}}, 'MountVolume.SetUp failed for volume "v" : configmap "none" not found'),
        ({"secret": {"secretName": "none"}}, 'MountVolume.SetUp failed for volume "v" : secret "none" not found'),
        (
            {"configMap": {"name": "config", "items": [{"key": "z", "path": "z"}]}},
            'MountVolume.SetUp failed for volume "v" : references non-existent configmap key: z',
        ),
        ({"persistentVolumeClaim": {"claimName": "c"}}, 'MountVolume.SetUp failed for volume "v" : this cluster has no storage; use emptyDir or hostPath'),
        ({"hostPath": {"path": "/nonexistent"}}, 'MountVolume.SetUp failed for volume "v" : hostPath type check failed: /nonexistent does not exist'),
    ],
)
async def test_what_cannot_be_mounted(tmp_path: Path, cluster: Cluster, volume: dict[str, Any], message: str) -> None:
    """The message becomes a FailedMount event."""
    with pytest.raises(MountError) as caught:
        await prepared(tmp_path, cluster, {"name": "v", **volume})
    assert str(caught.value) == message


async def test_folders_of_the_machine(tmp_path: Path, cluster: Cluster) -> None:
    """They are read-only, and private ones are refused whichever way they are named."""
    for name in ("open", "private/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("private")
    made = Volumes(pod(), tmp_path / "volumes", cluster.find, cluster.mint, [tmp_path / "private"])
    await made.prepare(pod({"name": "v", "hostPath": {"path": str(tmp_path / "open")}}))
    assert (made.paths["v"], made.generated) == (tmp_path / "open", {"v"})
    for name in ("private/deep", "link"):
        with pytest.raises(MountError, match="is private to this machine; no pod may see it"):
            await made.prepare(pod({"name": "v", "hostPath": {"path": str(tmp_path / name)}}))


async def test_optional_sources_may_be_missing(tmp_path: Path, cluster: Cluster) -> None:
    """The folder is empty, and the object is still followed."""
    made = await prepared(tmp_path, cluster, {"name": "v", "configMap": {"name": "none", "optional": True}})
    assert (content(made.paths["v"]), made.references) == ({}, {("configmap", "none")})
    cluster.objects["configmap", "none"] = {"data": {"k": "v"}}
    await made.prepare(pod({"name": "v", "configMap": {"name": "none", "optional": True}}))
    assert content(made.paths["v"]) == {"k": b"v"}


async def test_an_empty_folder_is_everybodys(tmp_path: Path, cluster: Cluster) -> None:
    """And keeps what is in it."""
    made = await prepared(tmp_path, cluster, {"name": "v", "emptyDir": {}})
    (made.paths["v"] / "kept").touch()
    await made.prepare(pod({"name": "v", "emptyDir": {}}))
    assert (mode(made.paths["v"]), content(made.paths["v"])) == (0o777, {"kept": b""})


def test_no_path_leads_out_of_its_volume(tmp_path: Path) -> None:
    """Keys are the user's."""
    (tmp_path / "v").mkdir()
    with pytest.raises(MountError, match="leads out of its volume"):
        volumes.publish(tmp_path / "v", {"../../x": (b"", 0o644)})


@pytest.mark.parametrize(("source", "limit"), [({"medium": "Memory"}, 0), ({"medium": "Memory", "sizeLimit": "1Mi"}, 1 << 20)])
async def test_memory_is_asked_for_with_its_limit(tmp_path: Path, cluster: Cluster, source: dict[str, str], limit: int) -> None:
    """The shim mounts it; an emptyDir of another medium is a folder."""
    made = await prepared(tmp_path, cluster, {"name": "v", "emptyDir": source})
    assert made.in_memory == {made.paths["v"]: limit}
    assert (await prepared(tmp_path, cluster, {"name": "v", "emptyDir": {"sizeLimit": "1Mi"}})).in_memory == {}
