"""One service: who calls it, and which of its workloads answers."""

from __future__ import annotations

from varka.telemetry.dashboards import traffic
from varka.telemetry.dashboards.panels import Dashboard, Variable

_CALLS = 'destination_service=~"$service", source_workload_namespace=~"$source_namespace", source_workload=~"$source_workload"'
_ANSWERS = 'destination_service=~"$service", destination_workload_namespace=~"$destination_namespace", destination_workload=~"$destination_workload"'

DASHBOARD = Dashboard(
    uid="varka-service",
    title="Service",
    variables=(
        Variable(name="service", label="Service", query="label_values(istio_requests_total, destination_service)", several=False),
        Variable(name="reporter", label="Counted by", options=("source", "destination")),
        Variable(name="source_namespace", label="Caller's namespace", query="label_values(istio_requests_total, source_workload_namespace)"),
        Variable(name="source_workload", label="Caller", query="label_values(istio_requests_total, source_workload)"),
        Variable(name="destination_namespace", label="Workload's namespace", query="label_values(istio_requests_total, destination_workload_namespace)"),
        Variable(
            name="destination_workload", label="Workload", query='label_values(istio_requests_total{destination_service=~"$service"}, destination_workload)'
        ),
    ),
    rows=(
        traffic.overview("client", 'reporter="source", destination_service=~"$service"'),
        traffic.overview("server", 'reporter="destination", destination_service=~"$service"'),
        traffic.breakdown("By caller", f'reporter=~"$reporter", {_CALLS}', "source_workload, source_workload_namespace", direction="Incoming"),
        traffic.breakdown("By workload", f'reporter=~"$reporter", {_ANSWERS}', "destination_workload, destination_workload_namespace", direction="Answered"),
    ),
)
