"""A workload outside of the cluster: a plain process of an ordinary user, with an Envoy beside it.

`istioctl x workload entry configure` writes what this reads: `cluster.env`, `mesh.yaml`, `root-cert.pem`, `istio-token` and
`hosts`. Without rights over the machine's network nothing can be redirected: the application uses the ports that a Sidecar
resource names (`captureMode: NONE`), an HTTP proxy among them if it likes.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from varka.agent import container, proxy_settings
from varka.agent.proxy_settings import ProxySettings
from varka.base.errors import VarkaError

FILES = ("cluster.env", "mesh.yaml", "root-cert.pem", "istio-token", "hosts")
_LINKS = {"istio-token": "var/run/secrets/tokens/istio-token", "root-cert.pem": "var/run/secrets/istio/root-cert.pem"}


async def run(folder: Path, arguments: list[str]) -> int:
    """Keep an Envoy for the workload that the folder describes; Envoy's exit code. VarkaError names a file that is missing or wrong."""
    found = settings(folder, arguments)
    prepare(folder, found)
    return await container.keep(found, folder.absolute())


def settings(folder: Path, arguments: list[str]) -> ProxySettings:
    """The proxy's settings from the folder's files."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    hint = "write them with `istioctl x workload entry configure -f workloadgroup.yaml -o DIR`"
    if missing:
        raise VarkaError(f"{folder} has no {', no '.join(missing)}", hint)
    try:
        given = variables((folder / "cluster.env").read_text())
        config: dict[str, Any] = (yaml.safe_load((folder / "mesh.yaml").read_text()) or {}).get("defaultConfig") or {}
        addresses = hosts((folder / "hosts").read_text())
    except (ValueError, AttributeError, yaml.YAMLError) as error:
        raise VarkaError(f"the files in {folder} cannot be read: {error}", hint) from error
    address = given.get("ISTIO_SVC_IP", "")
    if not address:
        raise VarkaError("cluster.env has no ISTIO_SVC_IP", "give the address of this machine: istioctl x workload entry configure --internalIP ADDRESS …")
    name = given.get("ISTIO_META_WORKLOAD_NAME") or "workload"
    environment = {
        **{str(key): str(value) for key, value in (config.get("proxyMetadata") or {}).items()},
        **given,
        "POD_NAME": f"{name}-{address}",
        "INSTANCE_IP": address,
        "ISTIO_META_INTERCEPTION_MODE": "NONE",
        "PROXY_CONFIG": json.dumps(config),
    }
    made = proxy_settings.parse(arguments, environment)
    return replace(made, home=str(folder.absolute()), discovery_ip=addresses.get(made.discovery[0], ""))


def variables(text: str) -> dict[str, str]:
    """`NAME='value'` lines; ValueError for a line that is none."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise ValueError(f"no variable: {line!r}")
            found[name.strip()] = " ".join(shlex.split(value))
    return found


def hosts(text: str) -> dict[str, str]:
    """Address by name, of lines as in /etc/hosts."""
    words = (line.partition("#")[0].split() for line in text.splitlines())
    return {name: line[0] for line in words if line for name in line[1:]}


def prepare(folder: Path, found: ProxySettings) -> None:
    """Lay the files where a proxy looks for them; the token stays a link, so that a fresh one is used at once."""
    for name, where in _LINKS.items():
        path = folder / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(Path(*[".."] * where.count("/"), name))
    etc = folder / "etc"
    (etc / "istio" / "pod").mkdir(parents=True, exist_ok=True)
    (etc / "istio" / "pod" / "labels").write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in labels(found.environment).items()))
    (etc / "resolv.conf").unlink(missing_ok=True)
    if Path("/etc/resolv.conf").is_file():
        shutil.copyfile("/etc/resolv.conf", etc / "resolv.conf")
    else:
        (etc / "resolv.conf").touch()


def labels(environment: Mapping[str, str]) -> dict[str, str]:
    """The workload's labels; nothing when they are malformed."""
    try:
        written = json.loads(environment.get("ISTIO_METAJSON_LABELS") or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in sorted(written.items())} if isinstance(written, dict) else {}
