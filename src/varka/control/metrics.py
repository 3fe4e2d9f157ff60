"""Metrics of the control plane, under the names that Istio's dashboards and alerts ask for.

Some of Istio's counters do not end in `_total`; the client library always adds that, so `text` takes it away again.
"""

from __future__ import annotations

import re

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

INFO = Gauge("pilot_info", "Version of this control plane.", ["version"])
BUILD = Gauge("istio_build", "Component and version.", ["component", "tag"])
CONFIG_EVENTS = Counter("pilot_k8s_cfg_events", "Changes of configuration resources.", ["type", "event"])
REGISTRY_EVENTS = Counter("pilot_k8s_reg_events", "Changes of services, endpoints, pods and namespaces.", ["type", "event"])
TRIGGERS = Counter("pilot_push_triggers", "Pushes, by what caused them.", ["type"])
INBOUND = Counter("pilot_inbound_updates", "Changes that concern proxies.", ["type"])
CONTEXT_SECONDS = Histogram(
    "pilot_pushcontext_init_seconds", "Seconds to compute the mesh's state after a change.", buckets=(0.001, 0.01, 0.05, 0.1, 0.5, 1, 3, 5)
)
PUSH_SECONDS = Histogram("pilot_xds_push_time", "Seconds to compute one proxy's configuration.", ["type"], buckets=(0.001, 0.01, 0.1, 1, 3, 5, 10, 20, 30))
DEBOUNCE_SECONDS = Histogram("pilot_debounce_time", "Seconds that changes were gathered before a push.", buckets=(0.001, 0.01, 0.1, 0.5, 1, 3))
QUEUE_SECONDS = Histogram(
    "pilot_proxy_queue_time", "Seconds from a change until a proxy's configuration was computed.", buckets=(0.01, 0.05, 0.1, 0.5, 1, 3, 5, 10, 20, 30)
)
PROXY_CONVERGENCE = Histogram(
    "pilot_proxy_convergence_time",
    "Seconds from a change until one proxy has accepted it.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30),
)
CONVERGENCE = Histogram(
    "varka_convergence_seconds",
    "Seconds from a change until every proxy that it concerns has answered.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 5, 10, 20, 30),
)
KEYS_FETCHED = Counter("pilot_jwks_resolver_network_fetch_success_total", "Key sets of token issuers that were fetched.")
KEYS_FAILED = Counter("pilot_jwks_resolver_network_fetch_fail_total", "Attempts to fetch a key set that failed.")
SERVICES = Gauge("pilot_services", "Services of the mesh.")
VIRTUAL_SERVICES = Gauge("pilot_virt_services", "VirtualServices.")
PUSH_ERRORS = Counter("varka_push_errors_total", "Proxies whose configuration could not be computed; they keep the last one.")

CSR_COUNT = Counter("citadel_server_csr_count", "Signing requests received.")
ISSUED = Counter("citadel_server_success_cert_issuance_count", "Certificates signed.")
AUTHENTICATION_FAILURES = Counter("citadel_server_authentication_failure_count", "Signing requests without a valid token.")
CSR_ERRORS = Counter("citadel_server_csr_parsing_err_count", "Signing requests that are malformed.")
ROOT_EXPIRY = Gauge("citadel_server_root_cert_expiry_timestamp", "When the root certificate expires, in seconds since the epoch.")
CHAIN_EXPIRY = Gauge("citadel_server_cert_chain_expiry_timestamp", "When the signing certificate expires, in seconds since the epoch.")

INJECTIONS = Counter("sidecar_injection_requests_total", "Pods that the injector was asked about.")
INJECTED = Counter("sidecar_injection_success_total", "Pods that got a proxy.")
INJECTION_SKIPS = Counter("sidecar_injection_skip_total", "Pods that were left as they are.")
INJECTION_FAILURES = Counter("sidecar_injection_failure_total", "Pods that could not be injected.")
VALIDATION_PASSED = Counter("galley_validation_passed", "Resources that were accepted.", ["group", "version", "resource"])
VALIDATION_FAILED = Counter("galley_validation_failed", "Resources that were refused.", ["group", "version", "resource", "reason"])

_BARE = (
    "pilot_k8s_cfg_events",
    "pilot_k8s_reg_events",
    "pilot_push_triggers",
    "pilot_inbound_updates",
    "pilot_xds_pushes",
    "pilot_total_xds_rejects",
    "pilot_total_xds_internal_errors",
    "pilot_xds_write_timeout",
    "pilot_xds_expired_nonce",
    "pilot_xds_unknown_types",
    "pilot_xds_refused_streams",
    "citadel_server_csr_count",
    "citadel_server_success_cert_issuance_count",
    "citadel_server_authentication_failure_count",
    "citadel_server_csr_parsing_err_count",
    "galley_validation_passed",
    "galley_validation_failed",
)
_SUFFIX = re.compile(rf"\b({'|'.join(_BARE)})_total\b")


def text() -> str:
    """The page that Prometheus scrapes."""
    return _SUFFIX.sub(r"\1", prometheus_client.generate_latest().decode())
