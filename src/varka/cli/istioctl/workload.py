"""`istioctl x workload`: what a workload outside of the cluster needs to take part in the mesh."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from varka.base.errors import VarkaError
from varka.cli.istioctl.main import Globals
from varka.client.api import Object

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session

API = "networking.istio.io/v1"
EXCLUDED_PORTS = "22,15090,15021,15020"
TLS_MODE = "security.istio.io/tlsMode"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def workload() -> None:
    """Let workloads outside of the cluster take part in the mesh."""


@workload.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """WorkloadGroups: what several workloads have in common."""


@workload.group(context_settings={"help_option_names": ["-h", "--help"]})
def entry() -> None:
    """WorkloadEntries: single workloads."""


@group.command(epilog="Example: istioctl x workload group create --name web --namespace shop --labels app=web --ports http=8080 --serviceAccount web")
@click.option("--name", required=True, metavar="NAME", help="Name of the group.")
@click.option("-l", "--labels", default="", metavar="KEY=VALUE,…", help="Labels of its workloads.")
@click.option("-a", "--annotations", default="", metavar="KEY=VALUE,…", help="Annotations of its workloads' entries.")
@click.option("-p", "--ports", default="", metavar="NAME=PORT,…", help="Ports of its workloads.")
@click.option("-s", "--serviceAccount", "account", default="default", metavar="NAME", help="Service account of its workloads.", show_default=True)
@click.pass_obj
def create(flags: Globals, name: str, labels: str, annotations: str, ports: str, account: str) -> None:
    """Print a WorkloadGroup."""
    import yaml

    numbers = {key: _port(key, value) for key, value in _pairs(ports).items()}
    metadata = {key: value for key, value in (("annotations", _pairs(annotations)), ("labels", _pairs(labels))) if value}
    made = {
        "apiVersion": API,
        "kind": "WorkloadGroup",
        "metadata": {"name": name, "namespace": _namespace(flags)},
        "spec": {"metadata": metadata, "template": {**({"ports": numbers} if numbers else {}), "serviceAccount": account}},
    }
    click.echo(yaml.safe_dump(made, sort_keys=False), nl=False)


def _namespace(flags: Globals) -> str:
    if not flags.namespace:
        raise VarkaError("no namespace was given", "name one with --namespace")
    return flags.namespace


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise VarkaError(f"{part!r} is no KEY=VALUE", "separate several by commas")
        found[key] = value
    return found


def _port(name: str, text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise VarkaError(f"the port {name}={text} is no number from 1 to 65535", "write NAME=PORT")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What `configure` was asked for."""

    folder: Path
    cluster_id: str
    ingress_ip: str
    ingress_service: str
    address: str
    register: bool
    revision: str
    token_seconds: int


@entry.command(epilog="Example: istioctl x workload entry configure -f group.yaml -o vm --internalIP 192.168.1.7")
@click.option("-f", "--file", "file", default="", metavar="FILE", help="File with the WorkloadGroup.")
@click.option("--name", default="", metavar="NAME", help="Name of a WorkloadGroup in the cluster, instead of a file.")
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder to write to.")
@click.option("--clusterID", "cluster_id", default="", metavar="ID", help="The cluster; otherwise the installation's.")
@click.option("--ingressIP", "ingress_ip", default="", metavar="IP", help="Where istiod can be reached from outside; otherwise the ingress service's address.")
@click.option(
    "--ingressService", "ingress_service", default="istio-eastwestgateway", metavar="NAME", help="Service that leads to istiod from outside.", show_default=True
)
@click.option("--internalIP", "internal_ip", default="", metavar="IP", help="Address of the workload in its network.")
@click.option("--externalIP", "external_ip", default="", metavar="IP", help="Address of the workload from outside of its network.")
@click.option("--autoregister", is_flag=True, help="Make a WorkloadEntry when the workload connects.")
@click.option("-r", "--revision", default="", metavar="NAME", help="Revision of the control plane.")
@click.option(
    "--tokenDuration", "token_seconds", default=3600, metavar="SECONDS", help="How long the token for the first certificate is good.", show_default=True
)
@click.pass_obj
def configure(flags: Globals, /, file: str, name: str, internal_ip: str, external_ip: str, **options: Any) -> None:
    """Write cluster.env, mesh.yaml, root-cert.pem, istio-token and hosts for the workloads of a group."""
    from varka.cli.istioctl import session

    if not file and not name:
        raise VarkaError("no WorkloadGroup was given", "name a file with -f, or a group of the cluster with --name and --namespace")
    wanted = Wanted(
        folder=Path(options["output"]),
        cluster_id=options["cluster_id"],
        ingress_ip=options["ingress_ip"],
        ingress_service=options["ingress_service"],
        address=external_ip or internal_ip,
        register=options["autoregister"],
        revision=options["revision"],
        token_seconds=options["token_seconds"],
    )

    async def work(connected: Session) -> dict[str, str]:
        found = _from_file(file) if file else await _from_cluster(connected, name)
        found["metadata"].setdefault("namespace", connected.namespace)
        return await files(connected, found, wanted)

    made = session.run(flags, work)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    for file_name, text in made.items():
        path = wanted.folder / file_name
        path.touch(mode=0o600 if file_name == "istio-token" else 0o644)
        path.write_text(text)
    click.echo(f"Configuration generation into directory {wanted.folder} was successful")


def _from_file(file: str) -> Object:
    from varka.cli.istioctl.analyzing import files as reading

    for name, text in reading.texts([file]):
        for obj in reading.unfolded(reading.documents(text, name)):
            if obj.get("kind") == "WorkloadGroup":
                return obj
    raise VarkaError(f"{file} has no WorkloadGroup", "make one with `istioctl x workload group create`")


async def _from_cluster(session: Session, name: str) -> Object:
    from varka.client.api import Gvr

    return await session.api.get(Gvr("networking.istio.io", "v1", "workloadgroups"), name, session.namespace)


async def files(session: Session, group: Object, wanted: Wanted) -> dict[str, str]:
    """The five files, by name."""
    import yaml

    from varka.client import resources

    meta, spec = group["metadata"], group.get("spec") or {}
    template = spec.get("template") or {}
    account = str(template.get("serviceAccount") or "default")
    suffix = f"-{wanted.revision}" if wanted.revision not in {"", "default"} else ""
    mesh = await _config(session, f"istio{suffix}", "mesh")
    values = await _config(session, f"istio-sidecar-injector{suffix}", "values")
    variables = environment(group, mesh, (values.get("global") or {}), wanted)
    root = await session.api.get(resources.CONFIGMAPS, "istio-ca-root-cert", meta["namespace"])
    discovery = f"istiod{suffix}.{session.istio_namespace}.svc"
    usual = dict(mesh.get("defaultConfig") or {})
    kept = ("CANONICAL_REVISION", "CANONICAL_SERVICE", "ISTIO_META_CLUSTER_ID", "ISTIO_META_MESH_ID", "ISTIO_META_NETWORK", "ISTIO_META_WORKLOAD_NAME")
    metadata = {**(usual.get("proxyMetadata") or {}), **{name: variables[name] for name in kept if name in variables}}
    proxy = {**usual, "discoveryAddress": f"{discovery}:15012", "meshId": variables["ISTIO_META_MESH_ID"], "proxyMetadata": metadata}
    return {
        "cluster.env": "".join(f"{name}='{variables[name]}'\n" for name in sorted(variables)),
        "mesh.yaml": yaml.safe_dump({"defaultConfig": proxy}),
        "root-cert.pem": str((root.get("data") or {}).get("root-cert.pem") or ""),
        "istio-token": await _token(session, meta["namespace"], account, wanted.token_seconds),
        "hosts": f"{await _ingress(session, wanted)} {discovery}\n",
    }


def environment(group: Object, mesh: Object, installed: Object, wanted: Wanted) -> dict[str, str]:
    """The variables of `cluster.env`."""
    meta, spec = group["metadata"], group.get("spec") or {}
    template = spec.get("template") or {}
    labels = {**(template.get("labels") or {}), **((spec.get("metadata") or {}).get("labels") or {})}
    service = labels.get("service.istio.io/canonical-name") or labels.get("app.kubernetes.io/name") or labels.get("app") or meta["name"]
    version = labels.get("service.istio.io/canonical-revision") or labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    labels |= {"service.istio.io/canonical-name": service, "service.istio.io/canonical-revision": version, TLS_MODE: "istio"}
    ports = ",".join(str(port) for port in (template.get("ports") or {}).values())
    trust = str(mesh.get("trustDomain") or "cluster.local")
    found = {
        "CANONICAL_REVISION": version,
        "CANONICAL_SERVICE": service,
        "ISTIO_INBOUND_PORTS": ports or "*",
        "ISTIO_LOCAL_EXCLUDE_PORTS": EXCLUDED_PORTS,
        "ISTIO_METAJSON_LABELS": json.dumps(labels, sort_keys=True, separators=(",", ":")),
        "ISTIO_META_CLUSTER_ID": wanted.cluster_id or str((installed.get("multiCluster") or {}).get("clusterName") or "Kubernetes"),
        "ISTIO_META_DNS_CAPTURE": "true",
        "ISTIO_META_MESH_ID": str(installed.get("meshID") or trust),
        "ISTIO_META_NETWORK": str(template.get("network") or installed.get("network") or ""),
        "ISTIO_META_WORKLOAD_NAME": meta["name"],
        "ISTIO_NAMESPACE": meta["namespace"],
        "ISTIO_SERVICE": f"{meta['name']}.{meta['namespace']}",
        "ISTIO_SERVICE_CIDR": "*",
        "POD_NAMESPACE": meta["namespace"],
        "SERVICE_ACCOUNT": str(template.get("serviceAccount") or "default"),
        "TRUST_DOMAIN": trust,
    }
    if wanted.address:
        found["ISTIO_SVC_IP"] = wanted.address
    if wanted.register:
        found["ISTIO_META_AUTO_REGISTER_GROUP"] = meta["name"]
    return found


async def _config(session: Session, name: str, key: str) -> Object:
    import yaml

    from varka.client import resources

    found = await session.api.get(resources.CONFIGMAPS, name, session.istio_namespace)
    read = yaml.safe_load(str((found.get("data") or {}).get(key) or "")) or {}
    return read if isinstance(read, dict) else {}


async def _token(session: Session, namespace: str, account: str, seconds: int) -> str:
    from varka.client import resources

    body: Object = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {},
        "spec": {"audiences": ["istio-ca"], "expirationSeconds": seconds},
    }
    answer = await session.api.create(resources.SERVICE_ACCOUNTS, body, namespace, name=account, subresource="token")
    return str(answer["status"]["token"])


async def _ingress(session: Session, wanted: Wanted) -> str:
    """The address by which istiod is reached from outside."""
    if wanted.ingress_ip:
        return wanted.ingress_ip
    from varka.client import resources
    from varka.client.api import ApiError

    try:
        found = await session.api.get(resources.SERVICES, wanted.ingress_service, session.istio_namespace)
    except ApiError as error:
        if error.code != 404:
            raise
        found = {}
    for item in ((found.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
        if item.get("ip"):
            return str(item["ip"])
    raise VarkaError(
        f"the service {wanted.ingress_service} has no address outside of the cluster",
        f"expose port 15012 of istiod by a Service of type LoadBalancer in {session.istio_namespace}, and name it with --ingressService, or give --ingressIP",
    )
