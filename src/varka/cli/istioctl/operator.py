"""What to install: a profile, IstioOperator files and `--set` flags, merged into one Installation.

Every path that this version does not act on is named in `Installation.ignored`, so that nothing a user wrote
disappears silently.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from varka import ISTIO_VERSION
from varka.base.errors import VarkaError

Tree = dict[str, Any]

_AUTOSCALED = {"autoscaleEnabled": True, "autoscaleMin": 1, "autoscaleMax": 5, "cpu": {"targetAverageUtilization": 80}}
_SCALABLE = ("pilot", "gateways.istio-ingressgateway", "gateways.istio-egressgateway")
_BASE: Tree = {
    "hub": "docker.io/istio",
    "tag": ISTIO_VERSION,
    "components": {
        "base": {"enabled": True},
        "pilot": {"enabled": True},
        "ingressGateways": [{"name": "istio-ingressgateway", "enabled": True}],
        "egressGateways": [{"name": "istio-egressgateway", "enabled": False}],
    },
    "meshConfig": {"accessLogFile": "/dev/stdout"},
    "values": {
        "defaultRevision": "",
        "global": {"istioNamespace": "istio-system"},
        "pilot": dict(_AUTOSCALED),
        "gateways": {"istio-ingressgateway": dict(_AUTOSCALED), "istio-egressgateway": dict(_AUTOSCALED)},
    },
}
_OVERLAYS: dict[str, Tree] = {
    "default": {},
    "demo": {
        "components": {"egressGateways": [{"name": "istio-egressgateway", "enabled": True}]},
        "values": {
            "pilot": {"traceSampling": 100.0, "autoscaleEnabled": False},
            "gateways": {name: {"autoscaleEnabled": False} for name in ("istio-ingressgateway", "istio-egressgateway")},
        },
    },
    "minimal": {"components": {"ingressGateways": [{"name": "istio-ingressgateway", "enabled": False}]}},
    "empty": {
        "components": {
            "base": {"enabled": False},
            "pilot": {"enabled": False},
            "ingressGateways": [{"name": "istio-ingressgateway", "enabled": False}],
        }
    },
}
PROFILES = tuple(_OVERLAYS)

_ACTED_ON = (
    "hub", "tag", "namespace", "profile", "revision", "meshConfig", "meshConfig.*",
    "components.base.enabled", "components.pilot.enabled", "components.pilot.k8s.*",
    "components.ingressGateways", "components.egressGateways",
    "values.defaultRevision", "values.revision", "values.profile",
    "values.global.*", "values.pilot.env.*", "values.pilot.traceSampling", "values.pilot.replicaCount", "values.pilot.resources.*",
    *(f"values.{part}.{key}" for part in _SCALABLE for key in ("autoscaleEnabled", "autoscaleMin", "autoscaleMax", "cpu.targetAverageUtilization")),
    "values.meshConfig.*", "values.sidecarInjectorWebhook.*",
)  # fmt: skip
_GATEWAY_KEYS = {"name", "enabled", "namespace", "label", "k8s"}
_K8S_KEYS = {
    "env",
    "nodeSelector",
    "podAnnotations",
    "priorityClassName",
    "replicaCount",
    "resources",
    "service",
    "serviceAnnotations",
    "tolerations",
    "affinity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One gateway to deploy; `k8s` holds the overrides of the IstioOperator API."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    egress: bool
    k8s: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A whole mesh installation, every default applied."""

    profile: str
    namespace: str
    revision: str
    hub: str
    tag: str
    base: bool
    pilot: bool
    gateways: tuple[Gateway, ...]
    mesh_config: Mapping[str, Any]
    values: Mapping[str, Any]
    pilot_k8s: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        """What a revision other than the default adds to names."""
        return "" if self.revision == "default" else f"-{self.revision}"


def load(files: list[tuple[str, str]], settings: list[str], *, profile: str = "", revision: str = "") -> Installation:
    """Merge profile, files (name and text, in order) and `--set path=value` flags; VarkaError for what cannot be merged."""
    overlay: Tree = {}
    for name, text in files:
        overlay = merge(overlay, _operator_spec(name, text))
    for setting in settings:
        overlay = merge(overlay, _assignment(setting))
    chosen = profile or str(overlay.get("profile") or "default")
    if chosen not in _OVERLAYS:
        raise VarkaError(f"unknown profile {chosen!r}", f"choose one of {', '.join(PROFILES)}")
    tree = merge(merge(copy.deepcopy(_BASE), _OVERLAYS[chosen]), overlay)
    values = tree.get("values") or {}
    namespace = str(tree.get("namespace") or values.get("global", {}).get("istioNamespace") or "istio-system")
    components = tree.get("components") or {}
    return Installation(
        profile=chosen,
        namespace=namespace,
        revision=revision or str(tree.get("revision") or values.get("revision") or "default"),
        hub=str(tree["hub"]),
        tag=str(tree["tag"]),
        base=_enabled(components.get("base")),
        pilot=_enabled(components.get("pilot")),
        gateways=tuple(_gateways(components, namespace)),
        mesh_config=merge(values.get("meshConfig") or {}, tree.get("meshConfig") or {}),
        values=values,
        pilot_k8s=(components.get("pilot") or {}).get("k8s") or {},
        ignored=tuple(sorted(set(_ignored(overlay)))),
    )


def merge(below: Tree, above: Tree) -> Tree:
    """`above` over `below`; lists of named things are merged by name, other lists replaced."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merge(old, value)
        elif isinstance(old, list) and isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in [*old, *value]):
            result[key] = _merge_named(old, value)
        else:
            result[key] = value
    return result


def _merge_named(old: list[Tree], new: list[Tree]) -> list[Tree]:
    named = {item["name"]: item for item in old}
    for item in new:
        named[item["name"]] = merge(named.get(item["name"], {}), item)
    return list(named.values())


def _operator_spec(name: str, text: str) -> Tree:
    hint = "give a file of kind IstioOperator (install.istio.io/v1alpha1)"
    try:
        documents = [document for document in yaml.safe_load_all(text) if document]
    except yaml.YAMLError as error:
        raise VarkaError(f"{name} is no YAML: {error}", hint) from error
    spec: Tree = {}
    for document in documents:
        if not isinstance(document, dict) or document.get("kind") != "IstioOperator":
            raise VarkaError(f"{name} holds something else than an IstioOperator", hint)
        found = document.get("spec") or {}
        unknown = sorted(
            set(found) - {"profile", "hub", "tag", "namespace", "revision", "components", "meshConfig", "values", "unvalidatedValues", "installPackagePath"}
        )
        if unknown:
            raise VarkaError(f"{name}: unknown field spec.{unknown[0]}", "remove it, or put it under values or meshConfig")
        spec = merge(spec, found)
        if namespace := (document.get("metadata") or {}).get("namespace"):
            spec.setdefault("namespace", namespace)
    return spec


def _assignment(setting: str) -> Tree:
    path, separator, text = setting.partition("=")
    parts = [part.replace("\0", ".") for part in path.replace("\\.", "\0").split(".")]
    if not separator or not all(parts):
        raise VarkaError(f"--set {setting} is not of the form path=value", "for example: --set values.global.proxy.logLevel=debug")
    value: Any = yaml.safe_load(text) if text else ""
    for part in reversed(parts):
        found = re.fullmatch(r"(.+)\[(?:name:)?([^\]]+)\]", part)
        if found is None:
            value = {part: value}
        elif found[2].isdigit():
            default = _BASE["components"].get(found[1])
            if not default or int(found[2]) >= len(default):
                raise VarkaError(
                    f"--set {setting}: there is no {part}", "name the entry instead: components.ingressGateways[name:istio-ingressgateway].enabled=true"
                )
            value = {found[1]: [{"name": default[int(found[2])]["name"], **value}]}
        else:
            value = {found[1]: [{"name": found[2], **value}]}
    return dict(value)


def _enabled(component: Any) -> bool:
    return bool((component or {}).get("enabled", True))


def _gateways(components: Tree, namespace: str) -> Iterator[Gateway]:
    for key, egress in (("ingressGateways", False), ("egressGateways", True)):
        for entry in components.get(key) or []:
            if not entry.get("enabled", False):
                continue
            name = entry["name"]
            labels = {"app": name, "istio": name.removeprefix("istio-"), **(entry.get("label") or {})}
            yield Gateway(name=name, namespace=entry.get("namespace") or namespace, labels=labels, egress=egress, k8s=entry.get("k8s") or {})


def _ignored(overlay: Tree) -> Iterator[str]:
    for path, value in _leaves(overlay):
        if not any(path == known or (known.endswith(".*") and path.startswith(known[:-1])) for known in _ACTED_ON):
            yield path
        if path in {"components.ingressGateways", "components.egressGateways"} and isinstance(value, list):
            for entry in value:
                yield from (f"{path}[{entry.get('name')}].{key}" for key in entry if key not in _GATEWAY_KEYS)
                yield from (f"{path}[{entry.get('name')}].k8s.{key}" for key in (entry.get("k8s") or {}) if key not in _K8S_KEYS)
        if path.startswith("components.pilot.k8s.") and path.split(".")[3] not in _K8S_KEYS:
            yield path


def _leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, path + ".")
        else:
            yield path, value
