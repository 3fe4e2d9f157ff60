"""One workload: what it is asked, and what it asks of others."""

from __future__ import annotations

from varka.telemetry.dashboards import traffic
from varka.telemetry.dashboards.panels import Dashboard, Variable

_ASKED = 'destination_workload_namespace=~"$namespace", destination_workload=~"$workload"'
_ASKS = 'source_workload_namespace=~"$namespace", source_workload=~"$workload"'

DASHBOARD = Dashboard(
    uid="varka-workload",
    title="Workload",
    variables=(
        Variable(name="namespace", label="Namespace", query="label_values(istio_requests_total, destination_workload_namespace)", several=False),
        Variable(
            name="workload",
            label="Workload",
            query='label_values(istio_requests_total{destination_workload_namespace=~"$namespace"}, destination_workload)',
            several=False,
        ),
        Variable(name="reporter", label="Counted by", options=("source", "destination")),
        Variable(name="source_namespace", label="Caller's namespace", query=f"label_values(istio_requests_total{{{_ASKED}}}, source_workload_namespace)"),
        Variable(name="source_workload", label="Caller", query=f"label_values(istio_requests_total{{{_ASKED}}}, source_workload)"),
        Variable(name="service", label="Called service", query=f"label_values(istio_requests_total{{{_ASKS}}}, destination_service)"),
    ),
    rows=(
        traffic.overview("workload", f'reporter=~"$reporter", {_ASKED}'),
        traffic.breakdown(
            "Incoming, by caller",
            f'reporter=~"$reporter", {_ASKED}, source_workload_namespace=~"$source_namespace", source_workload=~"$source_workload"',
            "source_workload, source_workload_namespace",
            direction="Incoming",
        ),
        traffic.breakdown(
            "Outgoing, by called service", f'reporter="source", {_ASKS}, destination_service=~"$service"', "destination_service", direction="Outgoing"
        ),
    ),
)
