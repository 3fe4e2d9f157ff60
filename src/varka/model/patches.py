"""Patches of EnvoyFilters and modules of WasmPlugins, as the `envoy` stage applies them.

They hold plain values only; what a patch means is known to Envoy's messages, so its value stays JSON until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field


class Context(StrEnum):
    """Which side of which proxy a patch is for."""

    ANY = "ANY"
    SIDECAR_INBOUND = "SIDECAR_INBOUND"
    SIDECAR_OUTBOUND = "SIDECAR_OUTBOUND"
    GATEWAY = "GATEWAY"


class Operation(StrEnum):
    """What a patch does."""

    MERGE = "MERGE"
    ADD = "ADD"
    REMOVE = "REMOVE"
    INSERT_BEFORE = "INSERT_BEFORE"
    INSERT_AFTER = "INSERT_AFTER"
    INSERT_FIRST = "INSERT_FIRST"
    REPLACE = "REPLACE"


class Place(StrEnum):
    """The kind of object that a patch is applied to (`applyTo`)."""

    LISTENER = "LISTENER"
    LISTENER_FILTER = "LISTENER_FILTER"
    FILTER_CHAIN = "FILTER_CHAIN"
    NETWORK_FILTER = "NETWORK_FILTER"
    HTTP_FILTER = "HTTP_FILTER"
    ROUTE_CONFIGURATION = "ROUTE_CONFIGURATION"
    VIRTUAL_HOST = "VIRTUAL_HOST"
    HTTP_ROUTE = "HTTP_ROUTE"
    CLUSTER = "CLUSTER"
    EXTENSION_CONFIG = "EXTENSION_CONFIG"
    BOOTSTRAP = "BOOTSTRAP"


class ListenerMatch(Struct, frozen=True, kw_only=True):
    """A listener, a chain of it, and a filter of that; empty and 0 match everything."""

    name: str = ""
    port: int = 0
    listener_filter: str = ""
    chain: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()
    destination_port: int = 0
    filter: str = ""
    sub_filter: str = ""


class RouteMatch(Struct, frozen=True, kw_only=True):
    """A route configuration, a virtual host of it, and a route of that; empty and 0 match everything."""

    name: str = ""
    port: int = 0
    port_name: str = ""
    gateway: str = ""
    """`namespace/name`."""
    virtual_host: str = ""
    domain: str = ""
    route: str = ""
    action: str = ""
    """`ROUTE`, `REDIRECT` or `DIRECT_RESPONSE`."""


class ClusterMatch(Struct, frozen=True, kw_only=True):
    """A cluster; a name decides by itself."""

    name: str = ""
    port: int = 0
    service: str = ""
    subset: str = ""


class Patch(Struct, frozen=True, kw_only=True):
    """One patch of one EnvoyFilter."""

    origin: str
    """`namespace/name` of the EnvoyFilter."""
    index: int
    """Which of its patches."""
    place: Place
    operation: Operation
    context: Context = Context.ANY
    value: str = "{}"
    """JSON with sorted keys."""
    filter_class: str = ""
    listener: ListenerMatch | None = None
    route: RouteMatch | None = None
    cluster: ClusterMatch | None = None


class Phase(StrEnum):
    """Where among the HTTP filters a module goes: before Istio's filters of that name, or right before the router."""

    AUTHN = "AUTHN"
    AUTHZ = "AUTHZ"
    STATS = "STATS"
    UNSPECIFIED = "UNSPECIFIED_PHASE"


class Traffic(Struct, frozen=True, kw_only=True):
    """Which connections a module sees."""

    mode: str = "CLIENT_AND_SERVER"
    ports: tuple[int, ...] = ()


class Module(Struct, frozen=True, kw_only=True):
    """One WasmPlugin. `name` is the one of its Envoy resource."""

    name: str
    plugin_name: str = ""
    url: str
    sha256: str = ""
    network: bool = False
    phase: Phase = Phase.UNSPECIFIED
    config: str = ""
    """JSON; empty for none."""
    fail_strategy: str = "FAIL_CLOSE"
    environment: Mapping[str, str] = field(default_factory=dict)
    host_environment: tuple[str, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    code: bytes | None = None
    """What was fetched from `url`; None as long as there is nothing."""


class Extensions(Struct, frozen=True, kw_only=True, eq=False):
    """What one proxy's configuration is changed by, in order of application; proxies that agree share the object."""

    patches: tuple[Patch, ...] = ()
    modules: tuple[Module, ...] = ()
    identities: frozenset[tuple[str, int]] = frozenset()
    """Origin and index of the patches that change what is sent."""


NONE = Extensions()
