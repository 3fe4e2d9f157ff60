"""A scrape configuration with `kubernetes_sd_configs` as one with `file_sd_configs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from varka.base.errors import VarkaError

KUBERNETES, FILES = "kubernetes_sd_configs", "file_sd_configs"
ROLES = ("endpoints", "endpointslice", "pod", "service", "node", "ingress")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """One entry of `kubernetes_sd_configs`: what is looked for, and where; no namespaces: everywhere."""

    role: str
    namespaces: tuple[str, ...] = ()
    own_namespace: bool = False
    labels: str = ""
    """Label selector for the role's own kind."""

    @property
    def file(self) -> str:
        """The name of the file with its targets; equal entries share one."""
        where = "-".join((*(("own",) if self.own_namespace else ()), *self.namespaces)) or "all"
        selected = f"-{abs(hash_of(self.labels)):x}" if self.labels else ""
        return f"{self.role}-{where}{selected}.json"


def hash_of(text: str) -> int:
    """A number that is the same in every run."""
    return int.from_bytes(text.encode()[:64], "big") % (1 << 61)


def translated(text: str, base: str, folder: str) -> tuple[str, tuple[Discovery, ...]]:
    """The configuration for a program without Kubernetes discovery, and what has to be written into `folder` for it.

    `base` is the folder that the text came from: paths in it that are relative are meant from there.
    VarkaError when the text is no YAML map or a role is unknown; everything else is Prometheus' own to judge.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise VarkaError(f"the configuration is no YAML: {error}", "mend the configuration") from error
    if not isinstance(document, dict):
        raise VarkaError("the configuration is no YAML map", "write at least: scrape_configs: []")
    document = _absolute(document, base)
    found: list[Discovery] = []
    jobs = [job for job in document.get("scrape_configs") or () if isinstance(job, dict)]
    managers = ((document.get("alerting") or {}).get("alertmanagers") or ()) if isinstance(document.get("alerting"), dict) else ()
    for job in (*jobs, *(each for each in managers if isinstance(each, dict))):
        entries = [_discovery(entry) for entry in job.pop(KUBERNETES, None) or ()]
        if entries:
            names = [f"{folder}/{entry.file}" for entry in entries]
            job.setdefault(FILES, []).append({"files": sorted(set(names)), "refresh_interval": "1m"})
            found.extend(entries)
    return yaml.safe_dump(document, sort_keys=False, width=1000), tuple(dict.fromkeys(found))


def _discovery(entry: Any) -> Discovery:
    given = entry if isinstance(entry, dict) else {}
    role = str(given.get("role") or "")
    if role not in ROLES:
        raise VarkaError(f"kubernetes_sd_configs has the unknown role {role!r}", f"use one of {', '.join(ROLES)}")
    where = given.get("namespaces") or {}
    selectors = [str(each.get("label") or "") for each in given.get("selectors") or () if each.get("role") == role]
    return Discovery(
        role=role,
        namespaces=tuple(sorted(map(str, where.get("names") or ()))),
        own_namespace=where.get("own_namespace") is True,
        labels=",".join(filter(None, selectors)),
    )


def _absolute(value: Any, base: str, key: str = "") -> Any:
    """Paths of files as they are meant from `base`."""
    if isinstance(value, dict):
        return {name: _absolute(item, base, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_absolute(item, base, key) for item in value]
    is_path = key in {"rule_files", "files", "scrape_config_files"} or key.endswith("_file")
    return f"{base}/{value}" if is_path and isinstance(value, str) and value and not value.startswith("/") else value
