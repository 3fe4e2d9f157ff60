"""The mesh as a whole: volume, success, and a line for each workload."""

from __future__ import annotations

from varka.telemetry.dashboards.panels import Dashboard, Panel, Query, Row, quantile, rate, share_of_success

_CALLED = 'reporter=~"source|waypoint"'
_WHO = "destination_workload, destination_workload_namespace, destination_service"
_TCP_WHO = "destination_workload, destination_workload_namespace, destination_service"


def _errors(kind: str) -> Panel:
    expr = rate("istio_requests_total", f'{_CALLED}, response_code=~"{kind}.*"')
    return Panel(title=f"{kind}xx", unit="reqps", kind="stat", width=6, height=4, queries=(Query(expr=f"{expr} or vector(0)"),))


DASHBOARD = Dashboard(
    uid="varka-mesh",
    title="Mesh",
    rows=(
        Row(
            title="All requests",
            panels=(
                Panel(
                    title="Requests",
                    unit="reqps",
                    kind="stat",
                    width=6,
                    height=4,
                    queries=(Query(expr=f"{rate('istio_requests_total', _CALLED)} or vector(0)"),),
                ),
                Panel(title="Success", unit="percentunit", kind="stat", width=6, height=4, queries=(Query(expr=share_of_success(_CALLED)),)),
                _errors("4"),
                _errors("5"),
                Panel(
                    title="Requests by called service",
                    unit="reqps",
                    queries=(Query(expr=rate("istio_requests_total", _CALLED, "destination_service"), legend="{{destination_service}}"),),
                ),
                Panel(
                    title="Requests by security of the connection",
                    description="What the called side saw; the caller does not know.",
                    unit="reqps",
                    queries=(
                        Query(
                            expr=rate("istio_requests_total", 'reporter="destination"', "connection_security_policy"), legend="{{connection_security_policy}}"
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Workloads",
            panels=(
                Panel(
                    title="HTTP and gRPC workloads",
                    kind="table",
                    width=24,
                    height=10,
                    queries=(
                        Query(expr=rate("istio_requests_total", _CALLED, _WHO), legend="requests"),
                        Query(expr=quantile(0.5, "istio_request_duration_milliseconds", _CALLED, _WHO), legend="p50 ms"),
                        Query(expr=quantile(0.9, "istio_request_duration_milliseconds", _CALLED, _WHO), legend="p90 ms"),
                        Query(expr=quantile(0.99, "istio_request_duration_milliseconds", _CALLED, _WHO), legend="p99 ms"),
                        Query(expr=share_of_success(_CALLED, _WHO), legend="success"),
                    ),
                ),
                Panel(
                    title="TCP workloads",
                    kind="table",
                    unit="Bps",
                    width=24,
                    queries=(
                        Query(expr=rate("istio_tcp_received_bytes_total", _CALLED, _TCP_WHO), legend="received"),
                        Query(expr=rate("istio_tcp_sent_bytes_total", _CALLED, _TCP_WHO), legend="sent"),
                    ),
                ),
                Panel(
                    title="Versions of Istio's components",
                    width=24,
                    height=6,
                    queries=(Query(expr="sum by (component, tag) (istio_build)", legend="{{component}} {{tag}}"),),
                ),
            ),
        ),
    ),
)
