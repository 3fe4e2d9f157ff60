"""Discovery: which groups, versions and resources there are, plain and aggregated (`apidiscovery.k8s.io/v2`)."""

from __future__ import annotations

from varka import KUBERNETES_VERSION
from varka.client.api import Object
from varka.cluster.apiserver.registry import Registry, ResourceInfo

_SUBRESOURCE_VERBS = {
    "attach": ("create", "get"),
    "binding": ("create",),
    "eviction": ("create",),
    "exec": ("create", "get"),
    "finalize": ("update",),
    "log": ("get",),
    "portforward": ("create", "get"),
    "proxy": ("create", "delete", "get", "patch", "update"),
    "token": ("create",),
}
_SUBRESOURCE_KINDS = {
    "attach": ("", "v1", "PodAttachOptions"),
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "exec": ("", "v1", "PodExecOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
    "proxy": ("", "v1", "PodProxyOptions"),
    "scale": ("autoscaling", "v1", "Scale"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}


def version() -> Object:
    """`/version`."""
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": KUBERNETES_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2025-11-01T00:00:00Z",
        "goVersion": "go1.24.0",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def _subresource(info: ResourceInfo, name: str) -> tuple[tuple[str, str, str], tuple[str, ...]]:
    kind = _SUBRESOURCE_KINDS.get(name, (info.group, info.version, info.kind))
    return kind, _SUBRESOURCE_VERBS.get(name, ("get", "patch", "update"))


def resource_list(registry: Registry, group: str, version_name: str) -> Object | None:
    """`/api/v1` or `/apis/<group>/<version>`: an APIResourceList; None when there is no such version."""
    infos = sorted((info for info in registry.in_group(group) if info.version == version_name), key=lambda info: info.resource)
    if not infos:
        return None
    items: list[Object] = []
    for info in infos:
        item: Object = {"name": info.resource, "singularName": info.singular, "namespaced": info.namespaced, "kind": info.kind, "verbs": list(info.verbs)}
        if info.short_names:
            item["shortNames"] = list(info.short_names)
        if info.categories:
            item["categories"] = list(info.categories)
        items.append(item)
        for name in info.subresources:
            (kind_group, kind_version, kind), verbs = _subresource(info, name)
            part: Object = {"name": f"{info.resource}/{name}", "singularName": "", "namespaced": info.namespaced}
            if (kind_group, kind_version) != (info.group, info.version):
                part |= {"group": kind_group, "version": kind_version}
            items.append({**part, "kind": kind, "verbs": list(verbs)})
    group_version = f"{group}/{version_name}" if group else version_name
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": items}


def api_versions() -> Object:
    """`/api`."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.96.0.1:443"}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group(registry: Registry, name: str) -> Object | None:
    """`/apis/<group>`."""
    versions = [{"groupVersion": f"{name}/{item}", "version": item} for item in registry.versions(name)]
    if not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions, "preferredVersion": versions[0]}


def groups(registry: Registry) -> Object:
    """`/apis`."""
    listed = [group(registry, name) for name in registry.groups()]
    plain = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in listed if item is not None]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": plain}


def aggregated(registry: Registry, *, core: bool, api_version: str) -> Object:
    """`/api` (core) or `/apis` as an APIGroupDiscoveryList."""
    items = []
    for name in [""] if core else registry.groups():
        versions = []
        for version_name in registry.versions(name):
            infos = sorted((info for info in registry.in_group(name) if info.version == version_name), key=lambda info: info.resource)
            versions.append({"version": version_name, "resources": [_aggregated_resource(info) for info in infos], "freshness": "Current"})
        meta: Object = {"creationTimestamp": None} | ({"name": name} if name else {})
        items.append({"metadata": meta, "versions": versions})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{api_version}", "metadata": {}, "items": items}


def _aggregated_resource(info: ResourceInfo) -> Object:
    item: Object = {
        "resource": info.resource,
        "responseKind": {"group": info.group, "version": info.version, "kind": info.kind},
        "scope": "Namespaced" if info.namespaced else "Cluster",
        "singularResource": info.singular,
        "verbs": list(info.verbs),
    }
    if info.short_names:
        item["shortNames"] = list(info.short_names)
    if info.categories:
        item["categories"] = list(info.categories)
    parts = []
    for name in info.subresources:
        (kind_group, kind_version, kind), verbs = _subresource(info, name)
        response = {"group": kind_group, "version": kind_version, "kind": kind}
        parts.append({"subresource": name, "responseKind": response, "verbs": list(verbs)})
    if parts:
        item["subresources"] = parts
    return item
