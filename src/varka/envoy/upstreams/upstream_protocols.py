"""Which HTTP version a cluster speaks, and the limits of its connections.

Ports that name HTTP/2 or gRPC speak HTTP/2, plain `http` speaks HTTP/1.1, and a sniffed port speaks what the client spoke.
"""

from __future__ import annotations

from typing import Any

from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from msgspec import Struct

from varka.envoy import messages
from varka.model.services import Protocol
from varka.model.traffic import ConnectionPool
from varka.model.view import MeshSettings

Options = http_protocol_options_pb2.HttpProtocolOptions
KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _http2() -> Any:
    options = Options()
    options.explicit_http_config.http2_protocol_options.SetInParent()
    return options


def _client() -> Any:
    options = Options()
    options.use_downstream_protocol_config.http_protocol_options.SetInParent()
    options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    return options


HTTP2 = messages.packed(_http2())
CLIENT = messages.packed(_client())


def follow_client(cluster: Any) -> None:
    """Speak to the other side what the client speaks."""
    cluster.typed_extension_protocol_options[KEY].CopyFrom(CLIENT)


def upgraded(protocol: Protocol, pool: ConnectionPool | None, mesh: MeshSettings) -> bool:
    """Whether an HTTP/1.1 port is spoken to in HTTP/2 all the same, by `h2UpgradePolicy`."""
    if protocol is not Protocol.HTTP:
        return False
    said = pool.h2_upgrade if pool else "DEFAULT"
    return said == "UPGRADE" or (said == "DEFAULT" and mesh.h2_upgrade)


class ServerNames(Struct, frozen=True, kw_only=True):
    """Whether TLS takes the server name from each request, and checks the certificate against it."""

    from_request: bool = False
    checked: bool = False


FIXED = ServerNames()


def apply(cluster: Any, protocol: Protocol, pool: ConnectionPool | None, mesh: MeshSettings, server_names: ServerNames = FIXED) -> None:
    """Set the cluster's protocol options; a cluster for plain HTTP/1.1 without limits needs none."""
    if pool is None and not mesh.h2_upgrade and not server_names.from_request:
        if protocol.is_http2:
            cluster.typed_extension_protocol_options[KEY].CopyFrom(HTTP2)
        elif protocol is Protocol.AUTO:
            follow_client(cluster)
        return
    options = _with_limits(protocol, pool, mesh)
    if server_names.from_request and (protocol.is_http or protocol is Protocol.AUTO):
        options.upstream_http_protocol_options.auto_sni = True
        options.upstream_http_protocol_options.auto_san_validation = server_names.checked
    cluster.typed_extension_protocol_options[KEY].CopyFrom(messages.packed(options))


def _with_limits(protocol: Protocol, pool: ConnectionPool | None, mesh: MeshSettings) -> Any:
    follows = protocol is Protocol.AUTO or (pool is not None and pool.use_client_protocol)
    if follows:
        options = _client()
    elif protocol.is_http2 or upgraded(protocol, pool, mesh):
        options = _http2()
        if pool and pool.max_concurrent_streams:
            options.explicit_http_config.http2_protocol_options.max_concurrent_streams.value = pool.max_concurrent_streams
    else:
        options = Options()
        options.explicit_http_config.http_protocol_options.SetInParent()
    if pool is None:
        return options
    common = options.common_http_protocol_options
    if pool.http_idle_timeout is not None:
        common.idle_timeout.CopyFrom(messages.duration(pool.http_idle_timeout))
    if pool.max_requests_per_connection:
        common.max_requests_per_connection.value = pool.max_requests_per_connection
    if pool.max_connection_duration is not None:
        common.max_connection_duration.CopyFrom(messages.duration(pool.max_connection_duration))
    return options
