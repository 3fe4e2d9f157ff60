"""Type URLs of Envoy's six discovery services and of the agent's one, and the order in which a change must reach a proxy.

Clusters go before the endpoints that fill them, listeners before their routes. What is taken away goes last: a
cluster is removed only after every route that could name it has been replaced.
"""

from __future__ import annotations

PREFIX = "type.googleapis.com/"
CLUSTER = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = PREFIX + "envoy.config.listener.v3.Listener"
ROUTE = PREFIX + "envoy.config.route.v3.RouteConfiguration"
EXTENSION = PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
SECRET = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"

NAME_TABLE = PREFIX + "istio.networking.nds.v1.NameTable"

ORDER = (CLUSTER, ENDPOINT, LISTENER, ROUTE, EXTENSION, SECRET, NAME_TABLE)
KNOWN = frozenset(ORDER)

SHORT = {CLUSTER: "cds", ENDPOINT: "eds", LISTENER: "lds", ROUTE: "rds", EXTENSION: "ecds", SECRET: "sds", NAME_TABLE: "nds"}
"""As metrics and status name them."""

AFTER: dict[str, tuple[str, ...]] = {
    LISTENER: (CLUSTER, ENDPOINT),
    ROUTE: (CLUSTER, ENDPOINT),
    EXTENSION: (CLUSTER, ENDPOINT),
}
"""A type waits while an answer to one of these is outstanding, so that nothing names a cluster that is not there yet."""

WARMED_BY: dict[str, str] = {CLUSTER: ENDPOINT}
"""A resource of the first type is not used before the one of the same name and the second type has arrived after it."""

REMOVE_AFTER: dict[str, tuple[str, ...]] = {CLUSTER: (LISTENER, ROUTE, EXTENSION), EXTENSION: (LISTENER,)}
"""Removals of a type wait until these have nothing left to send and nothing outstanding."""
