"""One pod: decide, build, put together."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from varka.base.errors import VarkaError
from varka.client.api import Object
from varka.control.injection import containers, merging, owners, pod_annotations, policy, probes, proxy_configs
from varka.control.injection import options as opts
from varka.control.injection.options import Options, annotations_of, labels_of
from varka.control.injection.owners import Workload

TEMPLATES = "inject.istio.io/templates"
OVERRIDES = "proxy.istio.io/overrides"
KNOWN_TEMPLATES = ("sidecar", "gateway")
AUTO = "auto"
_SCRAPING = {f"prometheus_io_{key}": key for key in ("scrape", "path", "port")}
_NO = frozenset({"false", "False", "FALSE", "f", "F", "0"})


def inject(pod: Object, namespace: str, namespace_labels: Mapping[str, str] | None, options: Options, workload: Workload | None = None) -> Object | None:
    """The pod with its proxy, or None when it is to stay as it is; VarkaError for annotations that cannot be followed."""
    if not policy.required(pod, namespace, namespace_labels, options):
        return None
    if policy.STATUS in annotations_of(pod) and any(one["name"] == containers.PROXY for one in _all_containers(pod)):
        return None
    annotations = annotations_of(pod)
    pod_annotations.check(annotations)
    template = _template(annotations, options)
    result = copy.deepcopy(pod)
    plan = _plan(pod, namespace, options, workload or owners.of_pod(pod), gateway=template == "gateway")
    before = {key: [one["name"] for one in (result["spec"].get(key) or [])] for key in ("containers", "initContainers", "volumes", "imagePullSecrets")}
    _annotate(result, plan, sidecar=template == "sidecar")
    if template == "gateway":
        _add_gateway(result, plan)
    else:
        _add_sidecar(result, plan)
    _volumes(result["spec"], plan)
    result["metadata"].setdefault("annotations", {})[policy.STATUS] = _status(result["spec"], before, options.revision)
    return result


def patch(pod: Object, injected: Object) -> list[Object]:
    """The JSON patch from one to the other, a field of metadata or spec at a time."""
    found: list[Object] = []
    for part in ("metadata", "spec"):
        if part not in pod:
            found.append({"op": "add", "path": f"/{part}", "value": injected[part]})
            continue
        for name, value in injected[part].items():
            if pod[part].get(name) != value:
                found.append({"op": "add", "path": f"/{part}/{name}", "value": value})
    return found


def _all_containers(pod: Object) -> list[Object]:
    spec = pod.get("spec") or {}
    return [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]


def _template(annotations: Mapping[str, str], options: Options) -> str:
    wanted = annotations.get(TEMPLATES) or next(iter(options.setting("sidecarInjectorWebhook", "defaultTemplates", default=[]) or ["sidecar"]))
    names = [name.strip() for name in str(wanted).split(",") if name.strip()]
    unknown = [name for name in names if name not in KNOWN_TEMPLATES]
    if unknown or not names:
        raise VarkaError(f"the annotation {TEMPLATES} names an unknown template {unknown or wanted!r}", f"use one of {', '.join(KNOWN_TEMPLATES)}")
    return names[0]


def _plan(pod: Object, namespace: str, options: Options, workload: Workload, *, gateway: bool) -> containers.Pod:
    annotations = annotations_of(pod)
    applications = [one for one in pod["spec"].get("containers") or [] if one["name"] != containers.PROXY]
    native = options.native_sidecars
    if annotations.get("sidecar.istio.io/nativeSidecar"):
        native = annotations["sidecar.istio.io/nativeSidecar"].lower() == "true"
    security = (_own(pod) or {}).get("securityContext") or {}
    probers: dict[str, Any] = {}
    if _rewrites(annotations, options) and not gateway:
        port = annotations.get("status.sidecar.istio.io/port", str(opts.STATUS_PORT))
        _, probers = probes.rewrite([*applications, *_restarting(pod)], int(port))
    return containers.Pod(
        options=options,
        namespace=namespace,
        workload=workload,
        labels=labels_of(pod),
        annotations=annotations,
        config=opts.proxy_config(options, proxy_configs.Workload(namespace=namespace, labels=labels_of(pod), annotations=annotations)),
        bootstrap=options.bootstrap(namespace, labels_of(pod), gateway),
        applications=applications,
        native=native and not gateway,
        user=int(security.get("runAsUser") or opts.PROXY_USER),
        group=int(security.get("runAsGroup") or opts.PROXY_USER),
        probers=probers,
        scrape=_scrape(annotations) if _merges(annotations, options) else {},
    )


def _own(pod: Object, name: str = containers.PROXY) -> Object | None:
    """The proxy container (or the one before it) that the user wrote, whose fields win over the template's."""
    return next((one for one in _all_containers(pod) if one["name"] == name), None)


def _overrides(own: Object | None, own_init: Object | None, native: bool) -> Object:
    """What the user wrote of the proxy's containers, kept so that another injection can lay it over again."""
    found: Object = {}
    for place, given in (("initContainers" if native else "containers", own), ("initContainers", own_init)):
        if given is not None:
            found.setdefault(place, []).append({"name": given["name"], "resources": {}, **_without_auto(given)})
    return found


def _redirects(plan: containers.Pod) -> bool:
    return plan.interception != "NONE" and not plan.options.setting("pilot", "cni", "enabled", default=False)


def _without_auto(own: Object) -> Object:
    return {name: value for name, value in own.items() if not (name == "image" and value == AUTO)}


def _restarting(pod: Object) -> list[Object]:
    return [one for one in pod["spec"].get("initContainers") or [] if one.get("restartPolicy") == "Always" and one["name"] != containers.PROXY]


def _rewrites(annotations: Mapping[str, str], options: Options) -> bool:
    default = options.setting("sidecarInjectorWebhook", "rewriteAppHTTPProbe", default=True)
    return str(annotations.get("sidecar.istio.io/rewriteAppHTTPProbers", default)).lower() == "true" and annotations.get("status.sidecar.istio.io/port") != "0"


def _merges(annotations: Mapping[str, str], options: Options) -> bool:
    """Application metrics are served together with the proxy's."""
    merge = str(annotations.get("prometheus.istio.io/merge-metrics", options.mesh.get("enablePrometheusMerge", True))).lower() == "true"
    given = _scrape(annotations)
    agents = str(options.proxy_setting("statusPort", opts.STATUS_PORT))
    return merge and given.get("scrape") not in _NO and given.get("port") != agents


def _scrape(annotations: Mapping[str, str]) -> dict[str, str]:
    """Where the application's own metrics are, before the annotations are pointed at the agent."""
    found = {_SCRAPING[plain]: value for name, value in annotations.items() if (plain := _plain(name)) in _SCRAPING}
    return {key: found[key] for key in ("scrape", "path", "port") if found.get(key)}


def _plain(name: str) -> str:
    """The name as Prometheus has it: to scrapers `prometheus.io/port` and `prometheus.io.port` are the same."""
    return re.sub("[^a-zA-Z0-9_]", "_", name)


def _annotate(pod: Object, plan: containers.Pod, *, sidecar: bool) -> None:
    meta = pod.setdefault("metadata", {})
    annotations, labels = dict(meta.get("annotations") or {}), dict(meta.get("labels") or {})
    own, options = _own(pod), plan.options
    annotations.setdefault("istio.io/rev", options.revision)
    first = next((one["name"] for one in plan.applications), None)
    if first is not None and sidecar:
        annotations.setdefault("kubectl.kubernetes.io/default-container", first)
        annotations.setdefault("kubectl.kubernetes.io/default-logs-container", first)
    overrides = _overrides(own, _own(pod, containers.INIT) if sidecar and _redirects(plan) else None, plan.native)
    if overrides:
        annotations[OVERRIDES] = json.dumps(overrides, separators=(",", ":"))
    for name, value in (options.setting("sidecarInjectorWebhook", "injectedAnnotations", default={}) or {}).items():
        annotations[str(name)] = str(value)
    if _merges(annotations, options):
        annotations = {name: value for name, value in annotations.items() if _plain(name) not in _SCRAPING}
        annotations.update(
            {
                "prometheus.io/path": "/stats/prometheus",
                "prometheus.io/port": str(options.proxy_setting("statusPort", opts.STATUS_PORT)),
                "prometheus.io/scrape": "true",
            }
        )
    labels.setdefault(owners.CANONICAL_NAME, owners.canonical_name(labels, plan.workload))
    labels.setdefault(owners.CANONICAL_REVISION, owners.canonical_revision(labels))
    if sidecar:
        labels.setdefault("security.istio.io/tlsMode", "istio")
    meta["annotations"], meta["labels"] = annotations, labels


def _add_sidecar(pod: Object, plan: containers.Pod) -> None:
    spec = pod["spec"]
    own = _own(pod)
    proxy = containers.sidecar(plan)
    if own is not None:
        proxy = merging.container(proxy, _without_auto(own))
        if plan.interception == "TPROXY":
            proxy["securityContext"]["runAsUser"] = 0
    applications = [one for one in spec.get("containers") or [] if one["name"] != containers.PROXY]
    ours = {containers.PROXY, containers.INIT} if _redirects(plan) else {containers.PROXY}
    first = [one for one in spec.get("initContainers") or [] if one["name"] not in ours]
    if plan.probers:
        applications, _ = probes.rewrite(applications, int(plan.status_port))
        first = [probes.rewrite([one], int(plan.status_port))[0][0] if one.get("restartPolicy") == "Always" else one for one in first]
    own_init = _own(pod, containers.INIT) or {}
    initialiser = [merging.container(containers.initialiser(plan), _without_auto(own_init))] if _redirects(plan) else []
    if plan.native:
        spec["containers"] = applications
        spec["initContainers"] = [*initialiser, proxy, *first]
    else:
        spec["containers"] = [proxy, *applications] if plan.hold else [*applications, proxy]
        spec["initContainers"] = [*first, *initialiser]
    if not spec["initContainers"]:
        del spec["initContainers"]


def _add_gateway(pod: Object, plan: containers.Pod) -> None:
    spec = pod["spec"]
    own = _own(pod)
    proxy = containers.gateway(plan)
    if own is not None:
        proxy = merging.container(proxy, _without_auto(own))
        spec["containers"] = [proxy if one["name"] == containers.PROXY else one for one in spec["containers"]]
    else:
        spec["containers"] = [*(spec.get("containers") or []), proxy]
    security = spec.setdefault("securityContext", {})
    security.setdefault("sysctls", [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}])


def _volumes(spec: Object, plan: containers.Pod) -> None:
    given = spec.get("volumes") or []
    names = {one["name"] for one in given}
    spec["volumes"] = [*(one for one in containers.volumes(plan) if one["name"] not in names), *given]
    secrets = [{"name": name} for name in plan.options.setting("global", "imagePullSecrets", default=[]) or []]
    if secrets:
        present = spec.get("imagePullSecrets") or []
        spec["imagePullSecrets"] = [*present, *(one for one in secrets if one not in present)]


def _status(spec: Object, before: Mapping[str, list[str]], revision: str) -> str:
    """What was added, as JSON, for people and for `istioctl`."""

    def added(key: str) -> list[str] | None:
        return [one["name"] for one in spec.get(key) or [] if one["name"] not in before[key]] or None

    found = {key: added(key) for key in ("initContainers", "containers", "volumes", "imagePullSecrets")}
    return json.dumps({**found, "revision": revision}, separators=(",", ":"))
