"""EnvoyFilter: patches to the configuration that a proxy would get."""

from __future__ import annotations

from typing import Literal

from varka.resources.schema import FreeForm, Int32, Spec, UInt32
from varka.resources.selection import LabelledWorkloads, References

ApplyTo = Literal[
    "INVALID",
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
]
Operation = Literal["INVALID", "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE"]
_ONE_TARGET = (("(has(self.workloadSelector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1", "only one of targetRefs or workloadSelector can be set"),)


class ProxyMatch(Spec):
    """Which proxies, by version and metadata."""

    proxy_version: str = ""
    metadata: dict[str, str] = {}


class SubFilter(Spec):
    """A filter inside a filter."""

    name: str = ""


class FilterMatch(Spec):
    """A network filter by its name."""

    name: str = ""
    sub_filter: SubFilter | None = None


class FilterChainMatch(Spec):
    """A filter chain by its properties."""

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    filter: FilterMatch | None = None
    destination_port: UInt32 | None = None


class ListenerMatch(Spec):
    """A listener by its properties."""

    port_number: UInt32 | None = None
    port_name: str = ""
    filter_chain: FilterChainMatch | None = None
    listener_filter: str = ""
    name: str = ""


class RouteMatch(Spec):
    """A route by its name or action."""

    name: str = ""
    action: Literal["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"] = "ANY"


class VirtualHostMatch(Spec):
    """A virtual host by its name or one of its domains."""

    name: str = ""
    domain_name: str = ""
    route: RouteMatch | None = None


class RouteConfigurationMatch(Spec):
    """A route configuration by its properties."""

    port_number: UInt32 | None = None
    port_name: str = ""
    gateway: str = ""
    vhost: VirtualHostMatch | None = None
    name: str = ""


class ClusterMatch(Spec):
    """A cluster by its service, subset, port or name."""

    port_number: UInt32 | None = None
    service: str = ""
    subset: str = ""
    name: str = ""


class ObjectMatch(Spec):
    """Where a patch goes."""

    schema_one_of = (("listener", "routeConfiguration", "cluster"),)

    context: Literal["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"] = "ANY"
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None


class Patch(Spec):
    """What is changed."""

    operation: Operation = "INVALID"
    value: FreeForm = {}
    filter_class: Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED"


class ConfigPatch(Spec):
    """One patch and its place."""

    apply_to: ApplyTo = "INVALID"
    match: ObjectMatch | None = None
    patch: Patch | None = None


class EnvoyFilter(Spec):
    """Patches for some proxies, in order of priority."""

    schema_rules = _ONE_TARGET

    workload_selector: LabelledWorkloads | None = None
    target_refs: References = ()
    config_patches: tuple[ConfigPatch, ...] = ()
    priority: Int32 = 0
