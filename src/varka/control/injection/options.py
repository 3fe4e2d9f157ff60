"""What injection depends on besides the pod: mesh configuration, installation values, revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from varka.client.api import Object
from varka.control.injection import proxy_configs
from varka.resources.parsing import Parsed
from varka.resources.traffic.proxy_configs import ProxyConfig

STATUS_PORT, READY_PORT, PROMETHEUS_PORT = 15020, 15021, 15090
OUTBOUND_PORT, INBOUND_PORT = 15001, 15006
PROXY_USER = 1337

DEFAULT_PROXY_CONFIG: Mapping[str, Any] = {
    "configPath": "./etc/istio/proxy",
    "binaryPath": "/usr/local/bin/envoy",
    "serviceCluster": "istio-proxy",
    "drainDuration": "45s",
    "discoveryAddress": "istiod.istio-system.svc:15012",
    "proxyAdminPort": 15000,
    "controlPlaneAuthPolicy": "MUTUAL_TLS",
    "statNameLength": 189,
    "statusPort": 15020,
    "interceptionMode": "REDIRECT",
    "terminationDrainDuration": "5s",
}
"""What a proxy assumes without being told; only what differs is written into the pod."""

_FLAVOURS = ("distroless", "debug")
_DEFAULT_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2000m", "memory": "1024Mi"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`mesh` is MeshConfig and `values` the installation's values, both as written."""

    mesh: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    revision: str = "default"
    native_sidecars: bool = False
    cluster_domain: str = "cluster.local"
    proxy_configs: tuple[Parsed[ProxyConfig], ...] = ()
    bootstrap: Callable[[str, Mapping[str, str], bool], str] = lambda _namespace, _labels, _router: ""
    """What EnvoyFilters add to the bootstrap of a pod with these labels in this namespace, as JSON; True for a gateway."""

    def setting(self, *path: str, default: Any = None) -> Any:
        """A value of the installation by its path, such as `global`, `proxy`, `image`."""
        found: Any = self.values
        for part in path:
            found = found.get(part) if isinstance(found, Mapping) else None
        return default if found is None else found

    def proxy_setting(self, name: str, default: Any = None) -> Any:
        return self.setting("global", "proxy", name, default=default)

    @property
    def trust_domain(self) -> str:
        return str(self.mesh.get("trustDomain") or "cluster.local")

    @property
    def namespace(self) -> str:
        return str(self.setting("global", "istioNamespace", default="istio-system"))

    @property
    def cluster_id(self) -> str:
        return str(self.setting("global", "multiCluster", "clusterName", default="") or "Kubernetes")

    @property
    def mesh_id(self) -> str:
        return str(self.setting("global", "meshID", default="") or self.trust_domain)

    @property
    def discovery_address(self) -> str:
        default = f"istiod{'' if self.revision == 'default' else '-' + self.revision}.{self.namespace}.svc:15012"
        return str((self.mesh.get("defaultConfig") or {}).get("discoveryAddress") or default)

    @property
    def default_resources(self) -> Mapping[str, Any]:
        return self.proxy_setting("resources") or _DEFAULT_RESOURCES

    def image(self, kind: str = "proxy", image_type: str = "") -> str:
        """Image of the proxy, or of the init container, in the flavour `image_type`."""
        name = str(self.setting("global", kind, "image", default="") or self.proxy_setting("image") or "proxyv2")
        if "/" in name:
            return name
        hub, tag = self.setting("global", "hub", default="docker.io/istio"), self.setting("global", "tag", default="1.28.2")
        return f"{hub}/{name}:{_flavoured(str(tag), image_type)}"


def _flavoured(tag: str, image_type: str) -> str:
    """The tag of the image's flavour, which takes the place of a flavour that the tag has already."""
    if not image_type:
        return tag
    plain = next((tag.removesuffix(f"-{known}") for known in _FLAVOURS if tag.endswith(f"-{known}")), tag)
    return plain if image_type == "default" else f"{plain}-{image_type}"


def proxy_config(options: Options, pod: proxy_configs.Workload) -> dict[str, Any]:
    """ProxyConfig of one pod; VarkaError when its annotation is no YAML object."""
    root = str(options.mesh.get("rootNamespace") or options.namespace)
    return proxy_configs.effective(options.mesh.get("defaultConfig"), options.proxy_configs, root, pod)


def written_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a ProxyConfig that is not the default."""
    return {name: value for name, value in config.items() if DEFAULT_PROXY_CONFIG.get(name) != value}


def annotations_of(pod: Object) -> dict[str, str]:
    """The annotations of a pod, never None."""
    return dict(pod.get("metadata", {}).get("annotations") or {})


def labels_of(pod: Object) -> dict[str, str]:
    """The labels of a pod, never None."""
    return dict(pod.get("metadata", {}).get("labels") or {})
