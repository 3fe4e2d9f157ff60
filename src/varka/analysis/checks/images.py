"""Proxies whose image is not the one that injection would give them now, and `image: auto` where nothing will replace it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from varka.analysis import catalog, messages
from varka.analysis.context import INJECTION, PROXY, REVISION, Context, Read
from varka.analysis.messages import Message
from varka.resources import kubernetes, label_selectors

CONFIG_MAP = "istio-sidecar-injector"
DEFAULT_HUB, DEFAULT_NAME, DEFAULT_TAG = "docker.io/istio", "proxyv2", "1.28.2"
"""What the injector takes where the values say nothing."""
_OVERRIDE = "sidecar.istio.io/proxyImage"
_CONFIG = "proxy.istio.io/config"
_AUTO = "auto"


def values(context: Context) -> Mapping[str, Mapping[str, Any]]:
    """The installation's values by the name of the injector's ConfigMap: one for each revision."""
    found: dict[str, Mapping[str, Any]] = {}
    for item in context.all("ConfigMap"):
        if item.meta.name.startswith(CONFIG_MAP):
            try:
                given = json.loads(item.spec.data.get("values") or "{}")
            except ValueError:
                given = {}
            found[item.meta.name] = given if isinstance(given, dict) else {}
    return found


def config_map(revision: str) -> str:
    """The name of the injector's ConfigMap for a revision."""
    return CONFIG_MAP if revision in {"", "default"} else f"{CONFIG_MAP}-{revision}"


def mismatched(context: Context) -> Iterable[Message]:
    """Check the proxies of pods in namespaces with injection."""
    wanted = {name: _image(given) for name, given in values(context).items()}
    if not wanted:
        return
    injectors: dict[str, str] = {}
    for namespace, labels in context.namespaces.items():
        if REVISION in labels or labels.get(INJECTION) == "enabled":
            injectors[namespace] = config_map(labels.get(REVISION, ""))
    odd: dict[str, list[str]] = {}
    for pod in context.all("Pod"):
        image = wanted.get(injectors.get(pod.meta.namespace, ""))
        if image is None or pod.meta.annotations.get(_OVERRIDE):
            continue
        allowed = {image, f"{image}-{_variant(context, pod)}"}
        spec = pod.spec.spec
        if any(one.name == PROXY and one.image not in allowed for one in (*spec.containers, *spec.init_containers)):
            odd.setdefault(pod.meta.namespace, []).append(pod.meta.name)
    for item in context.all("Namespace"):
        if item.meta.name in odd:
            yield catalog.IMAGE_MISMATCH.about(item, messages.listed(odd[item.meta.name]))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _image(given: Mapping[str, Any]) -> str:
    general = _map(given.get("global"))
    image = str(_map(general.get("proxy")).get("image") or DEFAULT_NAME)
    return image if "/" in image else f"{general.get('hub') or DEFAULT_HUB}/{image}:{general.get('tag') or DEFAULT_TAG}"


def _variant(context: Context, pod: Read) -> str:
    """The image type that the mesh, a ProxyConfig or the pod itself asks for; the most specific one counts."""
    found = str(_map(_map(context.surroundings.mesh_config.get("defaultConfig")).get("image")).get("imageType") or "")
    root, own, workload = "", "", ""
    for item in context.all("ProxyConfig"):
        kind = item.spec.image.image_type if item.spec.image is not None else ""
        if not kind:
            continue
        if item.meta.namespace == context.snapshot.mesh.root_namespace:
            root = kind
        elif item.meta.namespace == pod.meta.namespace:
            if item.spec.selector is None:
                own = kind
            elif item.spec.selector.match_labels.items() <= pod.meta.labels.items():
                workload = kind
    return _annotated(pod) or workload or own or root or found


def _annotated(pod: Read) -> str:
    if _CONFIG not in pod.meta.annotations:
        return ""
    try:
        given = yaml.load(pod.meta.annotations[_CONFIG], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError:
        return ""
    return str(_map(_map(given).get("image")).get("imageType") or "")


def auto(context: Context) -> Iterable[Message]:
    """Check that `image: auto` will be replaced: in a pod that exists it was not, a Deployment's pods must meet an injector."""
    for pod in context.all("Pod"):
        if _is_auto(pod.spec.spec):
            yield catalog.AUTO_IMAGE_ERROR.about(pod, "Pod", pod.meta.name)
    webhooks = [one for item in context.all("MutatingWebhookConfiguration") for one in item.spec.webhooks if one.name.endswith("istio.io")]
    for deployment in context.all("Deployment"):
        template = deployment.spec.spec.template
        if not _is_auto(template.spec):
            continue
        labels = {str(key): str(value) for key, value in _map(template.metadata.get("labels")).items()}
        around = context.namespaces.get(deployment.meta.namespace or "default", {})
        taken = (label_selectors.matches(one.namespace_selector, around) and label_selectors.matches(one.object_selector, labels) for one in webhooks)
        if not any(taken):
            yield catalog.AUTO_IMAGE_WARNING.about(deployment, "Deployment", deployment.meta.name)


def _is_auto(spec: kubernetes.PodSpec) -> bool:
    return any(item.name == PROXY and item.image == _AUTO for item in spec.containers)
