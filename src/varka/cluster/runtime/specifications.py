"""What a container is started with: its command, variables and mounts, from the pod's object, the image's recipe and the pod's volumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varka.base.errors import VarkaError
from varka.client.api import Object
from varka.cluster import packages
from varka.cluster.runtime import capabilities, catalog, environment
from varka.cluster.runtime.catalog import Recipe
from varka.cluster.runtime.programs import fallbacks

if TYPE_CHECKING:
    from varka.cluster.runtime.pods import PodWorker

MESSAGE_PATH = "/dev/termination-log"


class Refusal(Exception):
    """A container cannot be started now; `reason` and `message` go into its status."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


async def build(worker: PodWorker, spec: Object, message_file: Path) -> dict[str, Any]:
    """What the shim needs to start a container; Refusal when its image or configuration is missing.

    `message_file` is what the container sees at its terminationMessagePath.
    """
    names = {"pod_uid": worker.uid, "pod_name": worker.name, "namespace": worker.namespace, "container": spec["name"]}
    recipe = recipe_of(worker.catalog, spec["image"]).fill(names)
    try:
        variables = await _variables(worker, spec, recipe)
    except environment.MissingError as error:
        raise Refusal("CreateContainerConfigError", str(error)) from error
    line, arguments = ([environment.expand(part, variables) for part in spec.get(key) or []] for key in ("command", "args"))
    command = catalog.command_line(recipe, line, arguments)
    if not command:
        raise Refusal("CreateContainerError", f'image "{spec["image"]}" names no command; add one: varka image add {spec["image"]} -- COMMAND…')
    message = {"source": str(message_file), "target": spec.get("terminationMessagePath") or MESSAGE_PATH}
    return {
        "name": spec["name"],
        "command": command,
        "env": variables,
        "workingDir": environment.expand(spec.get("workingDir") or recipe.workdir, variables),
        "stdin": bool(spec.get("stdin")),
        "tty": bool(spec.get("tty")),
        "mounts": [*_mounts(worker, spec, recipe, variables), message],
        "hidden": worker.hidden,
        "capabilities": capabilities.kept(spec.get("securityContext") or {}, recipe.capabilities),
    }


def recipe_of(known: catalog.Catalog, image: str) -> Recipe:
    """The recipe of an image; Refusal ErrImagePull when there is none."""
    try:
        recipe = known.find(image)
    except VarkaError as error:
        raise Refusal("ErrImagePull", str(error)) from error
    if recipe is None:
        raise Refusal("ErrImagePull", f'no recipe for image "{image}"; say which command it stands for: varka image add {image} -- COMMAND…')
    if not recipe.package:
        return recipe
    program = packages.find(recipe.package)
    if program is None:
        raise Refusal("ErrImagePull", packages.advice(recipe.package))
    return recipe.fill({"program": str(program)})


async def _variables(worker: PodWorker, spec: Object, recipe: Recipe) -> dict[str, str]:
    """The container's environment; environment.MissingError when a reference leads nowhere."""
    wanted = set()
    for source in spec.get("envFrom") or []:
        wanted |= {("configmap", source["configMapRef"]["name"])} if "configMapRef" in source else {("secret", source["secretRef"]["name"])}
    for entry in spec.get("env") or []:
        origin = entry.get("valueFrom") or {}
        wanted |= {("configmap", origin["configMapKeyRef"]["name"])} if "configMapKeyRef" in origin else set()
        wanted |= {("secret", origin["secretKeyRef"]["name"])} if "secretKeyRef" in origin else set()
    found = {key: await worker.find(*key) for key in wanted}
    folders = [recipe.programs, recipe.env.get("PATH", environment.DEFAULT_PATH), fallbacks.PLACE]
    base = {
        **recipe.env,
        "PATH": ":".join(folder for folder in folders if folder),
        "HOSTNAME": worker.hostname,
        "HOME": recipe.env.get("HOME", "/root"),
        **({"TERM": "xterm"} if spec.get("tty") else {}),
    }
    links = bool(worker.pod["spec"].get("enableServiceLinks", True))
    services = environment.of_services(worker.services(), worker.namespace, links=links)
    return environment.build(worker.addressed(), spec, base, lambda kind, name: found.get((kind, name)), services)


def _mounts(worker: PodWorker, spec: Object, recipe: Recipe, variables: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every bind mount of a container: the pod's own files, the image's, the volumes."""
    found: list[dict[str, Any]] = [{"source": str(worker.folder / "etc" / name), "target": f"/etc/{name}"} for name in ("hosts", "hostname", "resolv.conf")]
    found += [{"source": str(path), "target": str(path), "readOnly": True} for path in worker.visible]
    found.append({"source": worker.programs, "target": fallbacks.PLACE, "readOnly": True})
    found += [{"source": each.source, "target": each.target, "readOnly": each.read_only} for each in recipe.mounts]
    for mount in spec.get("volumeMounts") or []:
        volume = worker.volumes.paths.get(mount["name"])
        if volume is None:
            raise Refusal("CreateContainerConfigError", f'volume "{mount["name"]}" is not mounted')
        part = environment.expand(mount["subPathExpr"], variables) if "subPathExpr" in mount else mount.get("subPath", "")
        source = _part_of(volume, part) if part else volume
        read_only = bool(mount.get("readOnly")) or mount["name"] in worker.volumes.generated
        found.append({"source": str(source), "target": mount["mountPath"], "readOnly": read_only})
    return found


def _part_of(volume: Path, part: str) -> Path:
    """A subPath of a volume, made if it is not there; links that lead out of the volume are refused."""
    source = (volume / part).resolve()
    if not source.is_relative_to(volume.resolve()):
        raise Refusal("CreateContainerConfigError", f'failed to prepare subPath: "{part}" leads out of its volume')
    if not source.exists():
        try:
            source.mkdir(parents=True)
        except OSError as error:
            raise Refusal("CreateContainerConfigError", f'failed to create subPath directory "{part}": {error.strerror}') from error
    return source
