"""What to ask Prometheus for a graph: one PromQL text for each quantity, over one time range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WHO = (
    "source_cluster",
    "source_workload_namespace",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "destination_cluster",
    "destination_service_namespace",
    "destination_service_name",
    "destination_service",
    "destination_workload_namespace",
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
)
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which part of the mesh, and which time: `seconds` before the end; no namespaces are all."""

    namespaces: tuple[str, ...] = ()
    seconds: int = 60

    @property
    def selectors(self) -> tuple[str, ...]:
        """Label matchers of which one must hold."""
        if not self.namespaces:
            return ("",)
        names = "|".join(_escaped(name) for name in sorted(self.namespaces))
        return (
            f'source_workload_namespace=~"{names}"',
            f'destination_workload_namespace=~"{names}"',
            f'destination_service_namespace=~"{names}"',
        )


def _escaped(name: str) -> str:
    """A namespace in a regular expression in a PromQL text; names have no special characters but what a typist adds."""
    return "".join(character if character.isalnum() or character in "-_" else f"\\\\{character}" for character in name if character not in '"\n\\')


def requests(scope: Scope) -> str:
    """Requests a second by who, code and flags; zeros included, which are idle edges."""
    labels = (*WHO, "reporter", "request_protocol", "response_code", "grpc_response_status", "response_flags")
    return _summed("istio_requests_total", scope, labels)


def security(scope: Scope) -> str:
    """Requests a second by who and how the connection was secured, as the called side tells it."""
    labels = (*WHO, "reporter", "request_protocol", "connection_security_policy", "source_principal", "destination_principal")
    return _summed("istio_requests_total", scope, labels, 'reporter="destination"')


def tcp(scope: Scope) -> str:
    """Bytes a second that were sent over TCP, by who."""
    labels = (*WHO, "reporter", "connection_security_policy", "source_principal", "destination_principal", "response_flags")
    return _summed("istio_tcp_sent_bytes_total", scope, labels)


def bytes_of(direction: str, scope: Scope) -> str:
    """Bytes a second of `request` or `response` bodies, by who."""
    return _summed(f"istio_{direction}_bytes_sum", scope, (*WHO, "reporter", "request_protocol"))


def latency(quantile: float, scope: Scope) -> str:
    """The quantile of response times in milliseconds, by who."""
    labels = (*WHO, "reporter", "request_protocol")
    return f"histogram_quantile({quantile}, {_summed('istio_request_duration_milliseconds_bucket', scope, ('le', *labels))})"


def proxies(scope: Scope) -> str:
    """The pods whose proxies Prometheus reads, with what they are part of."""
    labels = "namespace, pod, app, version, service_istio_io_canonical_name, service_istio_io_canonical_revision"
    return f"max by ({labels}) (max_over_time(envoy_server_live[{scope.seconds}s]))"


ANY_REQUESTS = "count(istio_requests_total) or count(istio_tcp_sent_bytes_total)"
NAMESPACES = "count by (destination_workload_namespace) (istio_requests_total)"
UNLABELLED = 'count(istio_requests_total{destination_workload="", source_workload=""})'
"""Series that were recorded without the labels that make a graph."""


def _summed(metric: str, scope: Scope, labels: Sequence[str], matcher: str = "") -> str:
    parts = []
    for selector in scope.selectors:
        inside = ",".join(filter(None, (selector, matcher)))
        parts.append(f"sum by ({', '.join(labels)}) (rate({metric}{{{inside}}}[{scope.seconds}s]))")
    return " or ".join(parts)
