"""A pod's volumes: what to bind where, and content that follows its objects.

ConfigMap, secret, downward and projected volumes are folders whose names are links into `..data`, a link that is
replaced as a whole: a reader sees the old content or the new, never a mixture.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from varka.client.api import Object
from varka.cluster.apiserver import quantity
from varka.cluster.runtime import environment

Find = Callable[[str, str], Awaitable[Object | None]]
Mint = Callable[[Object, str, int], Awaitable[tuple[str, float]]]
"""(pod, audience, seconds) → the token and when it expires, in seconds since the epoch."""

RENEW_PART = 0.8


class MountError(Exception):
    """A volume cannot be set up; the message is kubelet's."""


class Volumes:
    """The volumes of one pod, below `folder`."""

    def __init__(self, pod: Object, folder: Path, find: Find, mint: Mint, hidden: Sequence[Path] = ()) -> None:
        self._pod = pod
        self._folder = folder
        self._find = find
        self._mint = mint
        self._hidden = hidden
        self._tokens: dict[tuple[str, int], tuple[str, float, float]] = {}
        self.paths: dict[str, Path] = {}
        self.in_memory: dict[Path, int] = {}
        """Folders that are to be file systems in memory, with their limit in bytes (0: half of the memory, as the kernel has it)."""
        self.generated: set[str] = set()
        """Names of the volumes that containers cannot write to: the runtime's own, and folders of this machine."""
        self.references: set[tuple[str, str]] = set()
        """(kind, name) of the ConfigMaps and Secrets that the content comes from."""
        self.renew_at = float("inf")
        """When a token has to be replaced, in seconds since the epoch."""

    async def prepare(self, pod: Object) -> None:
        """Make every volume, or bring its content up to date; MountError says which could not be made."""
        self._pod = pod
        self.renew_at = float("inf")
        self.references = set()
        for volume in pod["spec"].get("volumes") or []:
            self.paths[volume["name"]] = await self._prepare(volume)

    async def _prepare(self, volume: dict[str, Any]) -> Path:
        name = volume["name"]
        path: Path = self._folder / name
        if "hostPath" in volume:
            return self._host_path(name, volume["hostPath"])
        if "persistentVolumeClaim" in volume or "csi" in volume or "nfs" in volume:
            raise MountError(f'MountVolume.SetUp failed for volume "{name}" : this cluster has no storage; use emptyDir or hostPath')
        await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True, mode=0o755)
        if "emptyDir" in volume or not (set(volume) - {"name"}):
            await asyncio.to_thread(path.chmod, 0o777)
            if (volume.get("emptyDir") or {}).get("medium") == "Memory":
                self.in_memory[path] = int(quantity.parse(str(volume["emptyDir"].get("sizeLimit") or "0")))
            return path
        self.generated.add(name)
        files = await self._content(name, volume)
        await asyncio.to_thread(publish, path, files)
        return path

    def _host_path(self, name: str, source: dict[str, Any]) -> Path:
        path, kind = Path(source["path"]), source.get("type") or ""
        self.generated.add(name)
        if any(path.resolve().is_relative_to(folder.resolve()) for folder in self._hidden):
            raise MountError(f'MountVolume.SetUp failed for volume "{name}" : hostPath {path} is private to this machine; no pod may see it')
        if kind in {"DirectoryOrCreate", "FileOrCreate"} and not path.exists():
            raise MountError(f'MountVolume.SetUp failed for volume "{name}" : hostPath {path} does not exist, and this machine\'s files are read-only to pods')
        if not path.exists():
            raise MountError(f'MountVolume.SetUp failed for volume "{name}" : hostPath type check failed: {path} does not exist')
        return path

    async def _content(self, name: str, volume: dict[str, Any]) -> dict[str, tuple[bytes, int]]:
        if "projected" in volume:
            mode = int(volume["projected"].get("defaultMode") or 0o644)
            files: dict[str, tuple[bytes, int]] = {}
            for source in volume["projected"].get("sources") or []:
                files |= await self._source(name, source, mode)
            return files
        (kind,) = set(volume) - {"name"}
        source = volume[kind]
        mode = int(source.get("defaultMode") or 0o644)
        if kind == "secret":
            source = {**source, "name": source["secretName"]}
        return await self._source(name, {kind: source}, mode)

    async def _source(self, volume: str, source: dict[str, Any], mode: int) -> dict[str, tuple[bytes, int]]:
        if "serviceAccountToken" in source:
            return await self._token(source["serviceAccountToken"])
        if "downwardAPI" in source:
            return {item["path"]: (self._downward(item).encode(), int(item.get("mode") or mode)) for item in source["downwardAPI"].get("items") or []}
        if "configMap" in source or "secret" in source:
            kind = "configmap" if "configMap" in source else "secret"
            return await self._object(volume, kind, source.get("configMap") or source["secret"], mode)
        raise MountError(f'MountVolume.SetUp failed for volume "{volume}" : volumes of type {", ".join(source)} are not supported on this machine')

    async def _object(self, volume: str, kind: str, source: dict[str, Any], mode: int) -> dict[str, tuple[bytes, int]]:
        self.references.add((kind, source["name"]))
        found = await self._find(kind, source["name"])
        if found is None:
            if source.get("optional"):
                return {}
            raise MountError(f'MountVolume.SetUp failed for volume "{volume}" : {kind} "{source["name"]}" not found')
        data = {key: value.encode() for key, value in (found.get("data") or {}).items()} if kind == "configmap" else {}
        binary = found.get("binaryData") if kind == "configmap" else found.get("data")
        data |= {key: base64.b64decode(value) for key, value in (binary or {}).items()}
        items = source.get("items")
        if not items:
            return {key: (value, mode) for key, value in data.items()}
        missing = [item["key"] for item in items if item["key"] not in data]
        if missing and not source.get("optional"):
            raise MountError(f'MountVolume.SetUp failed for volume "{volume}" : references non-existent {kind} key: {missing[0]}')
        return {item["path"]: (data[item["key"]], int(item.get("mode") or mode)) for item in items if item["key"] in data}

    async def _token(self, source: dict[str, Any]) -> dict[str, tuple[bytes, int]]:
        seconds = int(source.get("expirationSeconds") or 3600)
        wanted = (source.get("audience") or "", seconds)
        token, made, expires = self._tokens.get(wanted, ("", 0.0, 0.0))
        if time.time() >= made + (expires - made) * RENEW_PART:
            made = time.time()
            token, expires = await self._mint(self._pod, *wanted)
            self._tokens[wanted] = (token, made, expires)
        self.renew_at = min(self.renew_at, made + (expires - made) * RENEW_PART)
        return {source["path"]: (token.encode(), 0o600)}

    def _downward(self, item: dict[str, Any]) -> str:
        if "fieldRef" in item:
            return environment.field(self._pod, item["fieldRef"]["fieldPath"])
        return environment.resource(self._pod, self._pod["spec"]["containers"][0], item["resourceFieldRef"])

    def remove(self) -> None:
        """Delete the content; it belongs to nobody else."""
        shutil.rmtree(self._folder, ignore_errors=True)


def publish(path: Path, files: dict[str, tuple[bytes, int]]) -> None:
    """Replace the content of a volume by `files` (relative path → content and mode) in one step."""
    known = path.with_name(f"{path.name}.sha256")
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    if known.exists() and known.read_text() == digest:
        return
    fresh = path / f"..{time.strftime('%Y_%m_%d_%H_%M_%S')}.{secrets.token_hex(4)}"
    fresh.mkdir(mode=0o755)
    for name, (content, mode) in files.items():
        target = fresh / name
        if not target.resolve().is_relative_to(fresh.resolve()):
            raise MountError(f"the path {name} leads out of its volume")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)
    data, old = path / "..data", None
    if data.is_symlink():
        old = path / os.readlink(data)
    draft = path / "..data_tmp"
    draft.unlink(missing_ok=True)
    draft.symlink_to(fresh.name)
    draft.replace(data)
    _link(path, {name.partition("/")[0] for name in files})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    known.write_text(digest)


def _link(path: Path, names: set[str]) -> None:
    for entry in path.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()
    for name in names:
        if not (path / name).is_symlink():
            (path / name).symlink_to(f"..data/{name}")
