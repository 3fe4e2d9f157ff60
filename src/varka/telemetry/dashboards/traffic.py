"""Panels that the dashboards of services and of workloads share: the same pictures, of what comes in or of what goes out."""

from __future__ import annotations

from varka.telemetry.dashboards.panels import Panel, Query, Row, rate, share_of_success, spread


def overview(side: str, matchers: str) -> Row:
    """Volume, success, durations and TCP bytes as one side counted them."""
    requests = rate("istio_requests_total", matchers)
    return Row(
        title=f"As the {side} counts",
        panels=(
            Panel(title=f"{side.capitalize()} requests", unit="reqps", kind="stat", width=6, height=4, queries=(Query(expr=f"{requests} or vector(0)"),)),
            Panel(title=f"{side.capitalize()} success", unit="percentunit", kind="stat", width=6, height=4, queries=(Query(expr=share_of_success(matchers)),)),
            Panel(title=f"{side.capitalize()} durations", unit="ms", queries=spread("istio_request_duration_milliseconds", matchers)),
            Panel(
                title=f"{side.capitalize()} TCP bytes",
                unit="Bps",
                width=12,
                height=4,
                queries=(
                    Query(expr=rate("istio_tcp_received_bytes_total", matchers), legend="received"),
                    Query(expr=rate("istio_tcp_sent_bytes_total", matchers), legend="sent"),
                ),
            ),
        ),
    )


def breakdown(title: str, matchers: str, by: str, *, direction: str) -> Row:
    """Requests by code, success, durations, sizes and TCP bytes, a series for each of `by`."""
    labels = by.split(", ")
    legend = ".".join(f"{{{{{label}}}}}" for label in labels)
    codes = rate("istio_requests_total", matchers, f"{by}, response_code, connection_security_policy")
    return Row(
        title=title,
        panels=(
            Panel(
                title=f"{direction} requests by response code",
                unit="reqps",
                queries=(Query(expr=codes, legend=f"{legend} {{{{response_code}}}} {{{{connection_security_policy}}}}"),),
            ),
            Panel(title=f"{direction} success", unit="percentunit", queries=(Query(expr=share_of_success(matchers, by), legend=legend),)),
            *(
                Panel(title=f"{direction} {name}", unit=unit, width=8, queries=spread(metric, matchers, by=by, legend=legend))
                for name, unit, metric in (
                    ("durations", "ms", "istio_request_duration_milliseconds"),
                    ("request sizes", "decbytes", "istio_request_bytes"),
                    ("response sizes", "decbytes", "istio_response_bytes"),
                )
            ),
            *(
                Panel(
                    title=f"{direction} TCP bytes {name}",
                    unit="Bps",
                    queries=(
                        Query(
                            expr=rate(f"istio_tcp_{name}_bytes_total", matchers, f"{by}, connection_security_policy"),
                            legend=f"{legend} {{{{connection_security_policy}}}}",
                        ),
                    ),
                )
                for name in ("received", "sent")
            ),
        ),
    )
