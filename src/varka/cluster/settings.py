"""What one cluster was started with; kept in its state folder so that every process of it reads the same.

Written by `varka up` before anything runs, and read once by each process at its start. Standard library only: the smallest
processes of the cluster read it too.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from varka.base.errors import VarkaError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """One cluster. Unknown keys in the file are an error."""

    name: str = "varka"
    """Name of the cluster: its state folder, its kubeconfig context and its node."""
    api_port: int = 6443
    """TCP port on 127.0.0.1 of the host where the relay listens for the API server; kept from one start to the next."""
    egress: bool = True
    """Whether pods may reach addresses outside the cluster, through the relay."""
    node_ip: str = "10.244.0.1"
    """The node's own address, inside the cluster's namespaces; first address of the pod range."""
    pod_cidr: str = "10.244.0.0/16"
    """Range of the pods' addresses."""
    service_cidr: str = "10.96.0.0/16"
    """Range of the services' addresses."""
    api_service_ip: str = "10.96.0.1"
    """Address of the service `kubernetes` in `default`."""
    dns_ip: str = "10.96.0.10"
    """Address of the name server, a service address that the node itself owns."""
    node_api_port: int = 6443
    """Port of the API server on the node's address."""
    egress_port: int = 15999
    """Port on the node's address where TCP connections to the outside arrive."""
    cluster_domain: str = "cluster.local"
    """Suffix of the names of services and pods."""
    commands: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """Further processes that `init` keeps running in the node's namespaces: name → command line; `{python}` and `{state}` are filled in."""
    catalogs: tuple[str, ...] = ()
    """Further image catalogs (YAML files), beside the runtime's own and the user's `images.yaml`."""
    definitions: tuple[str, ...] = ()
    """Files (YAML) of CustomResourceDefinitions that the cluster has from the start; one that is there already is left as it is."""

    @property
    def context(self) -> str:
        """The kubeconfig's context: `varka`, or `varka-NAME` for a cluster with another name."""
        return "varka" if self.name == "varka" else f"varka-{self.name}"


def load(path: Path) -> ClusterSettings:
    """The settings in `path`; VarkaError when the file is missing or damaged."""
    try:
        raw = json.loads(path.read_text())
        raw |= {name: tuple(raw.get(name, ())) for name in ("catalogs", "definitions")}
        return ClusterSettings(**raw)
    except FileNotFoundError as error:
        raise VarkaError(f"no cluster in {path.parent}", "start one with varka up") from error
    except (ValueError, TypeError) as error:
        raise VarkaError(f"{path} is damaged: {error}", "remove the cluster with varka down and start again") from error


def save(settings: ClusterSettings, path: Path) -> None:
    """Write `settings` in one step."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(dataclasses.asdict(settings), indent=2) + "\n")
    draft.replace(path)
