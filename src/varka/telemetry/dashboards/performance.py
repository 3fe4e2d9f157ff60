"""What the mesh costs: processor, memory and bytes of its components, also by request."""

from __future__ import annotations

from varka.telemetry.dashboards.panels import Dashboard, Panel, Query, Row, rate

_GATEWAY = 'pod=~"istio-ingressgateway-.*", container="istio-proxy"'
_SIDECARS = 'namespace!="istio-system", container="istio-proxy"'
_ISTIOD = 'pod=~"istiod-.*", container="discovery"'
_PARTS = (("ingress gateway", _GATEWAY), ("sidecars", _SIDECARS), ("istiod", _ISTIOD))
_IN = 'source_workload="istio-ingressgateway", reporter="source"'
_BETWEEN = 'source_workload_namespace!="istio-system", reporter="source"'
_REQUESTS = rate("istio_requests_total", 'reporter="source"')

DASHBOARD = Dashboard(
    uid="varka-performance",
    title="Performance",
    rows=(
        Row(
            title="Processor",
            panels=(
                Panel(
                    title="Processors for 1,000 requests a second",
                    description="Empty while there are fewer than ten requests a second: the quotient would mean nothing.",
                    queries=tuple(
                        Query(expr=f"{rate('container_cpu_usage_seconds_total', who)} / ({_REQUESTS} / 1000) and {_REQUESTS} > 10", legend=name)
                        for name, who in _PARTS[:2]
                    ),
                ),
                Panel(title="Processors", queries=tuple(Query(expr=rate("container_cpu_usage_seconds_total", who), legend=name) for name, who in _PARTS)),
            ),
        ),
        Row(
            title="Memory and bytes",
            panels=(
                Panel(
                    title="Memory of one instance",
                    unit="bytes",
                    queries=tuple(
                        Query(expr=f"sum(container_memory_working_set_bytes{{{who}}}) / count(container_memory_working_set_bytes{{{who}}})", legend=name)
                        for name, who in _PARTS
                    ),
                ),
                Panel(
                    title="Bytes of requests and responses",
                    unit="Bps",
                    queries=(
                        Query(
                            expr=f"{rate('istio_request_bytes_sum', _IN)} + {rate('istio_response_bytes_sum', _IN)}",
                            legend="ingress gateway",
                        ),
                        Query(
                            expr=f"{rate('istio_request_bytes_sum', _BETWEEN)} + {rate('istio_response_bytes_sum', _BETWEEN)}",
                            legend="sidecars",
                        ),
                    ),
                ),
                Panel(title="Versions", width=24, queries=(Query(expr="sum by (component, tag) (istio_build)", legend="{{component}} {{tag}}"),)),
            ),
        ),
    ),
)
