"""istiod: is it well, does it push, do proxies take what it pushes, do its webhooks answer."""

from __future__ import annotations

from varka.telemetry.dashboards.panels import RANGE, Dashboard, Panel, Query, Row, rate

_CONTAINER = 'container="discovery", pod=~"istiod-.*"'
_OWN = 'app="istiod"'

DASHBOARD = Dashboard(
    uid="varka-control-plane",
    title="Control plane",
    rows=(
        Row(
            title="The process",
            panels=(
                Panel(title="Versions", width=6, queries=(Query(expr='sum by (tag) (istio_build{component="pilot"})', legend="{{tag}}"),)),
                Panel(
                    title="Memory",
                    unit="bytes",
                    width=6,
                    queries=(
                        Query(expr=f"sum by (pod) (container_memory_working_set_bytes{{{_CONTAINER}}})", legend="container {{pod}}"),
                        Query(expr=f"sum by (pod) (process_resident_memory_bytes{{{_OWN}}})", legend="resident {{pod}}"),
                    ),
                ),
                Panel(title="Processor", width=6, queries=(Query(expr=rate("container_cpu_usage_seconds_total", _CONTAINER, "pod"), legend="{{pod}}"),)),
                Panel(title="Open files", width=6, queries=(Query(expr=f"sum by (pod) (process_open_fds{{{_OWN}}})", legend="{{pod}}"),)),
            ),
        ),
        Row(
            title="Pushes",
            panels=(
                Panel(title="Pushes by type", unit="ops", width=8, queries=(Query(expr=rate("pilot_xds_pushes", "", "type"), legend="{{type}}"),)),
                Panel(
                    title="Changes",
                    unit="ops",
                    width=8,
                    queries=(
                        Query(expr=rate("pilot_k8s_cfg_events", "", "type, event"), legend="{{event}} {{type}}"),
                        Query(expr=rate("pilot_k8s_reg_events", "", "type, event"), legend="{{event}} {{type}}"),
                        Query(expr=rate("pilot_push_triggers", "", "type"), legend="push {{type}}"),
                    ),
                ),
                Panel(
                    title="Connections",
                    width=8,
                    queries=(
                        Query(expr='sum(envoy_cluster_upstream_cx_active{cluster_name="xds-grpc"})', legend="as proxies count"),
                        Query(expr="sum(pilot_xds)", legend="as istiod counts"),
                    ),
                ),
                Panel(
                    title="Refused and failed pushes",
                    width=8,
                    queries=(
                        Query(expr="sum by (type) (pilot_total_xds_rejects)", legend="refused {{type}}"),
                        Query(expr="sum(pilot_total_xds_internal_errors)", legend="internal errors"),
                    ),
                ),
                Panel(
                    title="Time of a push",
                    kind="heatmap",
                    unit="s",
                    width=8,
                    queries=(Query(expr=f"sum by (le) (rate(pilot_xds_push_time_bucket{RANGE}))", legend="{{le}}"),),
                ),
                Panel(
                    title="Size of a push",
                    kind="heatmap",
                    unit="bytes",
                    width=8,
                    queries=(Query(expr=f"sum by (le) (rate(pilot_xds_config_size_bytes_bucket{RANGE}))", legend="{{le}}"),),
                ),
                Panel(
                    title="Convergence",
                    description="From a change to its acknowledgement by every proxy that it concerns.",
                    unit="s",
                    queries=tuple(
                        Query(
                            expr=f"histogram_quantile({share}, sum by (le) (rate(pilot_proxy_convergence_time_bucket{RANGE})))", legend=f"p{round(share * 100)}"
                        )
                        for share in (0.5, 0.9, 0.99)
                    ),
                ),
                Panel(
                    title="Days until certificates expire",
                    unit="d",
                    queries=(Query(expr="min by (namespace, pod) (istio_cert_expiry_seconds - time()) / 86400", legend="{{pod}}.{{namespace}}"),),
                ),
            ),
        ),
        Row(
            title="Webhooks",
            panels=(
                Panel(
                    title="Validation",
                    unit="ops",
                    queries=(
                        Query(expr=rate("galley_validation_passed", ""), legend="accepted"),
                        Query(expr=rate("galley_validation_failed", ""), legend="refused"),
                    ),
                ),
                Panel(
                    title="Injection",
                    unit="ops",
                    queries=(
                        Query(expr=rate("sidecar_injection_success_total", ""), legend="injected"),
                        Query(expr=rate("sidecar_injection_failure_total", ""), legend="failed"),
                    ),
                ),
            ),
        ),
    ),
)
