"""What containers are started with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from varka.client.api import Object
from varka.cluster.runtime import specifications
from varka.cluster.runtime.catalog import Catalog
from varka.cluster.runtime.programs import fallbacks
from varka.cluster.runtime.specifications import Refusal

CATALOG = """
images:
  app:
    entrypoint: [serve, "{pod_name}"]
    cmd: [--quiet]
    env: {MODE: image, PATH: /opt/bin}
    workdir: /srv
    programs: /extra
    mounts: [{source: /data, target: /mnt, readOnly: true}]
  nothing: {}
"""


class Worker:
    """What `specifications` asks of a pod's worker."""

    def __init__(self, folder: Path, objects: Mapping[tuple[str, str], Object] | None = None) -> None:
        (folder / "images.yaml").write_text(CATALOG)
        self.catalog = Catalog([folder / "images.yaml"], {})
        self.folder = folder
        self.pod: Object = {"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": []}}
        self.name, self.namespace, self.uid, self.hostname = "p", "n", "u", "host"
        self.programs = "/state/programs"
        self.hidden = ["/state"]
        self.visible = (folder / "installation",)
        self.volumes = SimpleNamespace(paths={"v": folder / "v"}, generated=set())
        self._objects = objects or {}

    async def find(self, kind: str, name: str) -> Object | None:
        """A ConfigMap or Secret."""
        return self._objects.get((kind, name))

    def services(self) -> list[Object]:
        """No services."""
        return []

    def addressed(self) -> Object:
        """The pod."""
        return self.pod


async def build(worker: Worker, **container: Any) -> dict[str, Any]:
    """The specification of a container."""
    asked: Any = worker
    return await specifications.build(asked, {"name": "c", "image": "app", **container}, worker.folder / "message")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, ["serve", "p", "--quiet"]),
        ({"args": ["$(MODE)", "$$(MODE)"]}, ["serve", "p", "image", "$(MODE)"]),
        ({"command": ["sh", "-c", "echo"]}, ["sh", "-c", "echo"]),
        ({"command": ["sh"], "args": ["-x"]}, ["sh", "-x"]),
    ],
)
async def test_command_line(tmp_path: Path, given: dict[str, Any], line: list[str]) -> None:
    """`command` replaces entrypoint and default arguments, `args` the default arguments; variables are expanded in both."""
    assert (await build(Worker(tmp_path), **given))["command"] == line


async def test_variables(tmp_path: Path) -> None:
    """The image's variables, then the container's; the host's stand-ins come last in PATH."""
    found = (await build(Worker(tmp_path), env=[{"name": "MODE", "value": "mine"}], tty=True))["env"]
    assert found == {"MODE": "mine", "PATH": f"/extra:/opt/bin:{fallbacks.PLACE}", "HOSTNAME": "host", "HOME": "/root", "TERM": "xterm"}


async def test_mounts(tmp_path: Path) -> None:
    """The pod's files of /etc, the programs, the image's folders, the volumes, the termination message."""
    worker = Worker(tmp_path)
    (tmp_path / "v").mkdir()
    mounts = (await build(worker, volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "a/b"}], terminationMessagePath="/x"))["mounts"]
    assert mounts == [
        *({"source": str(tmp_path / "etc" / name), "target": f"/etc/{name}"} for name in ("hosts", "hostname", "resolv.conf")),
        {"source": str(tmp_path / "installation"), "target": str(tmp_path / "installation"), "readOnly": True},
        {"source": "/state/programs", "target": fallbacks.PLACE, "readOnly": True},
        {"source": "/data", "target": "/mnt", "readOnly": True},
        {"source": str(tmp_path / "v" / "a" / "b"), "target": "/v", "readOnly": False},
        {"source": str(tmp_path / "message"), "target": "/x"},
    ]


async def test_generated_volumes_are_read_only(tmp_path: Path) -> None:
    """Nobody writes into a ConfigMap's volume."""
    worker = Worker(tmp_path)
    worker.volumes.generated.add("v")
    mounts = (await build(worker, volumeMounts=[{"name": "v", "mountPath": "/v"}]))["mounts"]
    assert {"source": str(tmp_path / "v"), "target": "/v", "readOnly": True} in mounts


async def test_sub_path_expression(tmp_path: Path) -> None:
    """subPathExpr sees the container's variables."""
    worker = Worker(tmp_path)
    (tmp_path / "v").mkdir()
    mounts = (await build(worker, volumeMounts=[{"name": "v", "mountPath": "/v", "subPathExpr": "$(MODE)"}]))["mounts"]
    assert mounts[-2]["source"] == str(tmp_path / "v" / "image")


async def test_sub_path_stays_in_its_volume(tmp_path: Path) -> None:
    """A link that a container made leads no later container out of the volume."""
    worker = Worker(tmp_path)
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "out").symlink_to("/etc")
    with pytest.raises(Refusal) as caught:
        await build(worker, volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "out"}])
    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", 'failed to prepare subPath: "out" leads out of its volume')


@pytest.mark.parametrize(
    ("given", "reason", "message"),
    [
        ({"image": "none:1"}, "ErrImagePull", 'no recipe for image "none:1"; say which command it stands for: varka image add none:1 -- COMMAND…'),
        ({"image": "nothing"}, "CreateContainerError", 'image "nothing" names no command; add one: varka image add nothing -- COMMAND…'),
        ({"envFrom": [{"secretRef": {"name": "s"}}]}, "CreateContainerConfigError", 'secret "s" not found'),
        ({"volumeMounts": [{"name": "w", "mountPath": "/w"}]}, "CreateContainerConfigError", 'volume "w" is not mounted'),
    ],
)
async def test_refusals(tmp_path: Path, given: dict[str, Any], reason: str, message: str) -> None:
    """What keeps a container from being started, in the words of its status."""
    with pytest.raises(Refusal) as caught:
        await build(Worker(tmp_path), **given)
    assert (caught.value.reason, caught.value.message) == (reason, message)
