"""Envoy's HTTP connection manager, with what Istio sets on it in each of the three places where a proxy meets HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from msgspec import Struct

from varka.envoy import messages
from varka.envoy.observing import access_log, tracing
from varka.model.telemetry import Side
from varka.model.view import MeshSettings, Topology

Manager = http_connection_manager_pb2.HttpConnectionManager
FILTER = "envoy.filters.network.http_connection_manager"


class Place(StrEnum):
    """Where requests come from: the application, other workloads, or outside the mesh."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    GATEWAY = "gateway"


class Settings(Struct, frozen=True, kw_only=True):
    """What differs between two connection managers; either `rds` names a route configuration, or `routes` is one."""

    place: Place
    stat_prefix: str
    filters: Iterable[Any]
    side: Side
    """What is told of the requests."""
    rds: str = ""
    routes: Any = None
    stats: Iterable[Any] = ()
    """Further access loggers, for metrics."""
    topology: Topology = Topology()
    """What stands in front of a gateway."""
    tls: bool = False
    """Whether a gateway's server decrypts: cookies and redirects then speak of https."""


def build(settings: Settings, mesh: MeshSettings) -> Any:
    """The network filter."""
    manager = Manager(
        stat_prefix=settings.stat_prefix,
        http_filters=settings.filters,
        stream_idle_timeout=messages.NO_TIME,
        upgrade_configs=[Manager.UpgradeConfig(upgrade_type="websocket")],
        access_log=[*access_log.loggers(mesh, settings.side), *settings.stats],
    )
    if settings.rds:
        manager.rds.route_config_name = settings.rds
        manager.rds.config_source.CopyFrom(messages.ADS)
    else:
        manager.route_config.CopyFrom(settings.routes)
    manager.internal_address_config.SetInParent()
    manager.use_remote_address.value = settings.place is Place.GATEWAY
    _normalize(manager, mesh.path_normalization)
    _identify(manager, settings.place)
    if settings.topology.trusted_proxies:
        manager.xff_num_trusted_hops = settings.topology.trusted_proxies
    if settings.topology.forward_client_cert:
        manager.forward_client_cert_details = Manager.ForwardClientCertDetails.Value(settings.topology.forward_client_cert)
    tracing.apply(manager, settings.side.tracing, gateway=settings.place is Place.GATEWAY)
    manager.http_protocol_options.accept_http_10 = True
    return listener_components_pb2.Filter(name=FILTER, typed_config=messages.packed(manager))


def _normalize(manager: Any, mode: str) -> None:
    """Paths are brought to one form before any policy sees them: what is checked must be what is served."""
    if mode == "NONE":
        return
    manager.normalize_path.value = True
    if mode in {"MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}:
        manager.merge_slashes = True
    if mode == "DECODE_AND_MERGE_SLASHES":
        manager.path_with_escaped_slashes_action = Manager.UNESCAPE_AND_FORWARD


def _identify(manager: Any, place: Place) -> None:
    """Who is named to whom: the caller's certificate to the application, and the proxy to the client."""
    if place is Place.OUTBOUND:
        return
    details = manager.set_current_client_cert_details
    details.subject.value = True
    details.uri = True
    if place is Place.INBOUND:
        details.dns = True
        manager.forward_client_cert_details = Manager.APPEND_FORWARD
        manager.server_header_transformation = Manager.PASS_THROUGH
    else:
        details.cert = True
        details.dns = True
        manager.forward_client_cert_details = Manager.SANITIZE_SET
        manager.server_name = "istio-envoy"
