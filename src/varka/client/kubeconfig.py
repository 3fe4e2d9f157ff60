"""How to reach the cluster that the user means: the files of `KUBECONFIG`, `~/.kube/config`, or a pod's own service account.

Several files are merged as kubectl does it: the first to set a value or to define a name wins, and paths in a file are relative to it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from varka.base.errors import VarkaError
from varka.client.connection import Connection

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A connection, the namespace that commands default to, and the name of the context that gave both."""

    connection: Connection
    namespace: str = "default"
    context: str = ""


def load(
    *, context: str = "", namespace: str = "", path: str = "", environment: Mapping[str, str] | None = None, service_account: Path = SERVICE_ACCOUNT
) -> Target:
    """The cluster to talk to; `path`, `context` and `namespace` are the flags of the same names. VarkaError when there is none."""
    variables = os.environ if environment is None else environment
    files = _files(path, variables)
    merged = _merge([file for file in files if file.is_file()])
    if path and not files[0].is_file():
        raise VarkaError(f"the kubeconfig {path} does not exist", "check --kubeconfig")
    if not merged["contexts"] and not path and "KUBECONFIG" not in variables and (service_account / "token").exists():
        target = in_cluster(variables, service_account)
    else:
        target = _target(merged, context, files)
    return replace(target, namespace=namespace) if namespace else target


def in_cluster(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Target:
    """What a pod is given: the server's address in the environment, its certificate and the pod's token in files."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise VarkaError("this pod has a service account but no KUBERNETES_SERVICE_HOST", "set KUBECONFIG instead")
    try:
        ca = (folder / "ca.crt").read_bytes()
    except OSError as error:
        raise VarkaError(f"the cluster's certificate cannot be read: {error}", "is automountServiceAccountToken off") from error
    space = folder / "namespace"
    name = space.read_text().strip() if space.is_file() else "default"
    host = f"[{host}]" if ":" in host else host
    return Target(connection=Connection(server=f"https://{host}:{port}", ca=ca, token_file=folder / "token"), namespace=name, context="in-cluster")


def _files(path: str, variables: Mapping[str, str]) -> list[Path]:
    if path:
        return [Path(path)]
    listed = [Path(part) for part in variables.get("KUBECONFIG", "").split(os.pathsep) if part]
    return listed or [Path(variables.get("HOME", "/root")) / ".kube" / "config"]


def _merge(files: list[Path]) -> dict[str, Any]:
    merged: dict[str, Any] = {"clusters": {}, "users": {}, "contexts": {}, "current": ""}
    for file in files:
        try:
            content = yaml.safe_load(file.read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            raise VarkaError(f"the kubeconfig {file} cannot be read: {error}", "is it a file that kubectl understands") from error
        if not isinstance(content, dict):
            raise VarkaError(f"the kubeconfig {file} is no mapping", "is it a file that kubectl understands")
        merged["current"] = merged["current"] or content.get("current-context") or ""
        for plural in ("clusters", "users", "contexts"):
            for entry in content.get(plural) or []:
                merged[plural].setdefault(entry["name"], {**(entry.get(plural[:-1]) or {}), "_folder": file.parent})
    return merged


def _target(merged: dict[str, Any], wanted: str, files: list[Path]) -> Target:
    name = wanted or merged["current"]
    where = ", ".join(str(file) for file in files)
    if not name:
        raise VarkaError(f"no cluster is chosen: {where} has no current context", 'run `eval "$(varka env)"` or set KUBECONFIG')
    context = merged["contexts"].get(name)
    if context is None:
        raise VarkaError(f"the context {name} is not in {where}", f"choose one of: {', '.join(sorted(merged['contexts'])) or 'there are none'}")
    cluster = merged["clusters"].get(context.get("cluster", ""))
    if cluster is None or not cluster.get("server"):
        raise VarkaError(f"the context {name} names the cluster {context.get('cluster')!r}, which {where} does not describe", "mend the kubeconfig")
    user = merged["users"].get(context.get("user", ""), {"_folder": Path()})
    return Target(connection=_connection(cluster, user), namespace=context.get("namespace") or "default", context=name)


def _connection(cluster: dict[str, Any], user: dict[str, Any]) -> Connection:
    if "exec" in user or "auth-provider" in user:
        raise VarkaError("the kubeconfig's user takes its credentials from a plugin, which is not supported", "use a token or a client certificate")
    folder = user["_folder"]
    token_file = folder / user["tokenFile"] if user.get("tokenFile") else None
    return Connection(
        server=cluster["server"],
        ca=_material(cluster, "certificate-authority"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name") or "",
        certificate=_material(user, "client-certificate"),
        key=_material(user, "client-key"),
        token=user.get("token") or "",
        token_file=token_file,
    )


def _material(entry: dict[str, Any], name: str) -> bytes:
    try:
        if entry.get(f"{name}-data"):
            return base64.b64decode(entry[f"{name}-data"], validate=True)
        if entry.get(name):
            content: bytes = (entry["_folder"] / entry[name]).read_bytes()
            return content
    except (OSError, binascii.Error) as error:
        raise VarkaError(f"{name} of the kubeconfig cannot be read: {error}", "mend the kubeconfig") from error
    return b""
