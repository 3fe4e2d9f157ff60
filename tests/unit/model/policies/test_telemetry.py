from __future__ import annotations

from typing import Any

import yaml
from tests.builders import meshobjects as mesh

from varka.model import mesh_settings, views
from varka.model.services import Hostname
from varka.model.telemetry import AccessLog, Collector, CustomTag, Metrics, ProviderKind, TagSource, Telemetry
from varka.model.view import MeshSettings

PROVIDERS = """
extensionProviders:
- name: jaeger
  opentelemetry: {service: jaeger-collector.istio-system.svc.cluster.local, port: 4317}
- name: zipkin
  zipkin: {service: zipkin.istio-system, port: 9411, maxTagLength: 56}
- name: json
  envoyFileAccessLog: {path: /dev/stderr, logFormat: {labels: {code: "%RESPONSE_CODE%"}}, omitEmptyValues: true}
- name: otel
  envoyOtelAls: {service: jaeger-collector.istio-system.svc.cluster.local, port: 4317, logName: mesh}
"""
COLLECTOR = Collector(host=Hostname("jaeger-collector.istio-system.svc.cluster.local"), port=4317)


def settings(text: str = "") -> MeshSettings:
    """The mesh settings with the providers above and what the test adds."""
    found, problems = mesh_settings.parse({"data": {"mesh": PROVIDERS + text}})
    assert problems == ()
    return found


def telemetry(name: str, spec: str, namespace: str = "default", created: str = "2026-01-01T00:00:00Z") -> Any:
    """A Telemetry resource."""
    return mesh.istio("Telemetry", name, yaml.safe_load(spec), namespace, creationTimestamp=created)


def resolved(*objects: Any, text: str = "", namespace: str = "default", collectors: bool = True) -> Telemetry:
    """What a workload `app: web` tells."""
    known = [
        mesh.service("jaeger-collector", {"name": "grpc-otlp", "port": 4317}, namespace="istio-system"),
        mesh.service("zipkin", {"name": "http-query", "port": 9411}, namespace="istio-system"),
    ]
    found = mesh.snapshot_of(*(known if collectors else []), *objects, mesh=settings(text))
    return views.view(found, mesh.proxy("web", namespace=namespace)).telemetry


def test_a_mesh_without_telemetry() -> None:
    """Without any resource there are metrics, no traces, and the access log of the mesh settings."""
    assert resolved() == Telemetry()


def test_the_lab_guides_resources() -> None:
    """Three resources of one level each say their part; an operator of access logs where CEL belongs changes no label."""
    found = resolved(
        telemetry(
            "default-metrics",
            "{metrics: [{providers: [{name: prometheus}]}, {overrides: [{match: {metric: ALL_METRICS}, tagOverrides: {request_id: {operation: UPSERT, value: 'REQUEST_ID(%REQ(x-request-id)%)'}}}]}]}",
            "istio-system",
        ),
        telemetry("default-tracing", "{tracing: [{providers: [{name: jaeger}], randomSamplingPercentage: 100.0}]}", "istio-system"),
        telemetry("default-logging", "{accessLogging: [{providers: [{name: envoy}]}]}", "istio-system"),
    )
    for side in (found.client, found.server):
        assert side.metrics == Metrics()
        assert side.tracing is not None
        assert (side.tracing.provider.kind, side.tracing.collector, side.tracing.sampling) == (ProviderKind.OPENTELEMETRY, COLLECTOR, 100.0)
        assert [log.provider.name for log in side.logs or ()] == ["envoy"]


def test_no_collector_no_traces() -> None:
    """A provider whose service is not there is no provider: nothing is traced."""
    spec = telemetry("t", "{tracing: [{providers: [{name: jaeger}]}]}")
    assert resolved(spec, collectors=False).client.tracing is None


def test_levels_of_tracing() -> None:
    """What the workload's resource leaves out is as the namespace says, and what that leaves out as the mesh does."""
    found = resolved(
        telemetry("mesh", "{tracing: [{providers: [{name: zipkin}], randomSamplingPercentage: 5, enableIstioTags: false}]}", "istio-system"),
        telemetry("ns", "{tracing: [{customTags: {team: {literal: {value: a}}, who: {header: {name: user, defaultValue: none}}}}]}"),
        telemetry("web", "{selector: {matchLabels: {app: web}}, tracing: [{randomSamplingPercentage: 0, useRequestIdForTraceSampling: false}]}"),
        telemetry("other", "{selector: {matchLabels: {app: other}}, tracing: [{disableSpanReporting: true}]}"),
    ).server.tracing
    assert found is not None
    assert (found.provider.name, found.sampling, found.istio_tags, found.use_request_id, found.max_tag_length) == ("zipkin", 0.0, False, False, 56)
    assert found.custom_tags == (
        CustomTag(name="team", source=TagSource.LITERAL, value="a"),
        CustomTag(name="who", source=TagSource.HEADER, value="user", default="none"),
    )


def test_sides_of_tracing() -> None:
    """`match.mode` and `disableSpanReporting` stop the traces of one side."""
    found = resolved(telemetry("t", "{tracing: [{providers: [{name: jaeger}]}, {match: {mode: SERVER}, disableSpanReporting: true}]}"))
    assert found.client.tracing is not None
    assert found.client.tracing.sampling == 1.0
    assert found.server.tracing is None


def test_metrics_overrides() -> None:
    """Later entries win; a metric is switched off on one side only, labels are set and taken away."""
    found = resolved(
        telemetry(
            "m", "{metrics: [{overrides: [{match: {metric: REQUEST_SIZE}, disabled: true}, {tagOverrides: {host: {value: request.host}}}]}]}", "istio-system"
        ),
        telemetry(
            "n",
            "{metrics: [{overrides: [{match: {metric: REQUEST_SIZE, mode: SERVER}, disabled: false}, {match: {metric: REQUEST_COUNT, mode: CLIENT}, tagOverrides: {host: {operation: REMOVE}}}]}]}",
        ),
    )
    assert found.client.metrics is not None
    assert found.server.metrics is not None
    assert found.client.metrics.disabled == frozenset({"REQUEST_SIZE"})
    assert found.server.metrics.disabled == frozenset()
    assert dict(found.client.metrics.tags)["REQUEST_COUNT"] == (("host", ""),)
    assert dict(found.server.metrics.tags)["REQUEST_COUNT"] == (("host", "request.host"),)
    assert len(found.server.metrics.tags) == 10


def test_all_metrics_off() -> None:
    """ALL_METRICS disabled in a namespace leaves none there, and a workload may switch them on again."""
    off = telemetry("off", "{metrics: [{overrides: [{match: {metric: ALL_METRICS}, disabled: true}]}]}")
    on = telemetry("on", "{selector: {matchLabels: {app: web}}, metrics: [{overrides: [{match: {metric: ALL_METRICS}, disabled: false}]}]}")
    assert resolved(off).client.metrics is None
    assert resolved(off, on).client.metrics == Metrics()
    assert resolved(off, namespace="elsewhere").client.metrics == Metrics()


def test_no_default_provider_of_metrics() -> None:
    """A mesh whose default providers name none counts nothing."""
    assert resolved(text="defaultProviders: {metrics: []}").client.metrics is None


def test_access_logs() -> None:
    """Filters, sides and switched-off logs; JSON and OpenTelemetry come from the mesh's providers."""
    found = resolved(
        telemetry("mesh", "{accessLogging: [{providers: [{name: json}, {name: otel}]}]}", "istio-system"),
        telemetry("ns", "{accessLogging: [{match: {mode: CLIENT}, filter: {expression: 'response.code >= 400'}}, {match: {mode: SERVER}, disabled: true}]}"),
    )
    (json, otel) = found.client.logs or ()
    assert (json.provider.path, json.provider.form.json, json.provider.form.omit_empty, json.filter) == (
        "/dev/stderr",
        '{"code": "%RESPONSE_CODE%"}',
        True,
        "response.code >= 400",
    )
    assert (otel.provider.log_name, otel.collector) == ("mesh", COLLECTOR)
    assert found.server.logs == ()


def test_a_filter_that_is_no_cel_logs_everything() -> None:
    """Envoy would refuse the listener, so such a filter is left out."""
    for expression in ("response.code >=", "%RESPONSE_CODE% >= 400", "string(response.code) == '404'", "[1].all(x, x > 1)"):
        (log,) = (
            resolved(telemetry("t", yaml.safe_dump({"accessLogging": [{"providers": [{"name": "envoy"}], "filter": {"expression": expression}}]}))).client.logs
            or ()
        )
        assert isinstance(log, AccessLog)
        assert log.filter == ""


def test_the_oldest_of_a_level_counts() -> None:
    """Of two resources of one level that say the same kind of thing, the older one counts."""
    old = telemetry("z", "{tracing: [{providers: [{name: jaeger}], randomSamplingPercentage: 7}]}", created="2025-01-01T00:00:00Z")
    new = telemetry("a", "{tracing: [{providers: [{name: jaeger}], randomSamplingPercentage: 9}]}")
    found = resolved(old, new).client.tracing
    assert found is not None
    assert found.sampling == 7.0


def test_proxies_of_equal_telemetry_share_it() -> None:
    """Two workloads that the same resources are for have the very same object."""
    found = mesh.snapshot_of(telemetry("t", "{metrics: [{overrides: [{disabled: true}]}]}"), mesh=settings())
    one, two = (views.view(found, mesh.proxy(name)).telemetry for name in ("a", "b"))
    assert one is two


def test_mesh_settings_say_what_is_wrong() -> None:
    """A collector without a port is left out with a condition, and kinds that nothing is sent to are named."""
    found, problems = mesh_settings.parse(
        {"data": {"mesh": "extensionProviders:\n- {name: a, zipkin: {service: z}}\n- {name: b, datadog: {service: d, port: 1}}\n"}}
    )
    assert found.telemetry.providers == ()
    assert [problem.path for problem in problems] == ["mesh.extensionProviders[0].zipkin", "mesh.extensionProviders[1].datadog"]


def test_tracing_of_the_proxies_configuration() -> None:
    """Without Telemetry, `defaultConfig.tracing` traces to the address it names, at its sampling."""
    text = "defaultConfig: {tracing: {sampling: 42, zipkin: {address: 'zipkin.istio-system:9411'}}}"
    found = resolved(text=text).client.tracing
    assert found is not None
    assert (found.collector.host, found.sampling) == ("zipkin.istio-system.svc.cluster.local", 42.0)
    assert resolved(text=text + "\nenableTracing: false").client.tracing is None
