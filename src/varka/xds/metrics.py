"""Counters of the discovery service, under the names that Istio's dashboards ask for."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CONNECTED = Gauge("pilot_xds", "Proxies connected now, by their version.", ["version"])
PUSHES = Counter("pilot_xds_pushes", "Responses sent to proxies, by discovery service.", ["type"])
REJECTS = Counter("pilot_total_xds_rejects", "Responses that a proxy answered with a NACK.", ["type"])
INTERNAL_ERRORS = Counter("pilot_total_xds_internal_errors", "Streams that ended by an error of the server itself.")
WRITE_TIMEOUT = Counter("pilot_xds_write_timeout", "Streams closed because the proxy did not take a response in time.")
STALE_NONCES = Counter("pilot_xds_expired_nonce", "Requests that answer a response which is not the last one.", ["type"])
UNKNOWN_TYPES = Counter("pilot_xds_unknown_types", "Requests for resource types that are not served.")
REFUSED = Counter("pilot_xds_refused_streams", "Streams refused because the caller is not who its node ID says.")
SEND_TIME = Histogram("pilot_xds_send_time", "Seconds until a response was handed to the connection.", buckets=(0.01, 0.1, 1, 3, 5, 10, 20, 30))
CONFIG_SIZE = Histogram("pilot_xds_config_size_bytes", "Bytes of the responses.", ["type"], buckets=(1, 10000, 1000000, 4000000, 10000000, 40000000))
