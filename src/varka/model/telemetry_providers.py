"""The telemetry settings of MeshConfig: `extensionProviders` that take telemetry, `defaultProviders`, and `defaultConfig.tracing`.

A provider with a mistake is left out with a condition: telemetry that cannot be sent must not keep requests from being served.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from varka.base import durations
from varka.model.telemetry import CustomTag, HttpExport, LogFormat, MeshTelemetry, Provider, ProviderKind, TagSource
from varka.resources import Condition, conditions

NOT_SENT_TO = ("datadog", "skywalking", "lightstep", "opencensus", "stackdriver", "envoyHttpAls", "envoyTcpAls", "sds")
"""Kinds of providers that Istio knows and this version sends nothing to."""
ZIPKIN_PATH = "/api/v2/spans"


def settings(config: Mapping[str, Any]) -> tuple[MeshTelemetry, list[Condition]]:
    """Everything about telemetry in a MeshConfig, and what is wrong with it."""
    found: list[Condition] = []
    result = MeshTelemetry(
        providers=tuple(_providers(config.get("extensionProviders"), found)),
        enable_tracing=config.get("enableTracing") is not False,
        **_defaults(config.get("defaultProviders"), found),
    )
    proxy = config.get("defaultConfig")
    tracing = proxy.get("tracing") if isinstance(proxy, Mapping) else None
    return (_with_proxy_tracing(result, tracing, found) if isinstance(tracing, Mapping) else result), found


def _providers(value: Any, found: list[Condition]) -> Iterator[Provider]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(item, Mapping):
            continue
        where = f"mesh.extensionProviders[{index}]"
        for kind in NOT_SENT_TO:
            if kind in item:
                found.append(conditions.info(f"{where}.{kind}", f"accepted, but nothing is sent to providers of kind {kind} yet", "NotActedOn"))
        for kind in ProviderKind:
            given = item.get(kind.value)
            if kind.value in item and (given is None or isinstance(given, Mapping)):
                provider = _provider(str(item.get("name") or ""), kind, given or {}, f"{where}.{kind}", found)
                if provider is not None:
                    yield provider


def _provider(name: str, kind: ProviderKind, given: Mapping[str, Any], where: str, found: list[Condition]) -> Provider | None:
    problem = "" if name else "a provider needs a name"
    if kind in {ProviderKind.OTEL_LOG, ProviderKind.OPENTELEMETRY, ProviderKind.ZIPKIN}:
        if not isinstance(given.get("service"), str) or not given["service"]:
            problem = problem or "service must be the host of a service"
        if not isinstance(given.get("port"), int) or not 0 < given["port"] < 65536:
            problem = problem or "port must be a number from 1 to 65535"
    if problem:
        found.append(conditions.error(where, f"{problem}; the provider is left out", "InvalidProvider"))
        return None
    provider = Provider(
        name=name,
        kind=kind,
        service=str(given.get("service") or "").lower(),
        port=given.get("port") or 0,
        max_tag_length=_whole(given.get("maxTagLength")),
    )
    match kind:
        case ProviderKind.FILE:
            return replace(provider, path=str(given.get("path") or "/dev/stdout"), form=_form(given), mesh_form=False)
        case ProviderKind.OTEL_LOG:
            return replace(provider, log_name=str(given.get("logName") or ""), form=_form(given))
        case ProviderKind.ZIPKIN:
            return replace(
                provider,
                path=str(given.get("path") or ZIPKIN_PATH),
                short_trace_ids=given.get("enable64bitTraceId") is True,
                w3c_too=given.get("traceContextOption") == "USE_B3_WITH_W3C_PROPAGATION",
            )
        case ProviderKind.OPENTELEMETRY:
            for key in ("dynatraceSampler",):
                if key in given:
                    found.append(conditions.info(f"{where}.{key}", f"accepted, but {key} is not acted on yet", "NotActedOn"))
            detectors = given.get("resourceDetectors")
            return replace(
                provider, http=_http(given.get("http"), where, found), environment_resources=isinstance(detectors, Mapping) and "environment" in detectors
            )
    return provider


def _form(given: Mapping[str, Any]) -> LogFormat:
    """`logFormat`: `text`, or `labels`; of OpenTelemetry both may be there."""
    written = given.get("logFormat")
    written = written if isinstance(written, Mapping) else {}
    labels = written.get("labels")
    return LogFormat(
        text=str(written.get("text") or ""),
        json=json.dumps(labels, sort_keys=True) if isinstance(labels, Mapping) else "",
        omit_empty=given.get("omitEmptyValues") is True,
    )


def _http(given: Any, where: str, found: list[Condition]) -> HttpExport | None:
    if not isinstance(given, Mapping):
        return None
    headers = []
    for item in given.get("headers") or ():
        if isinstance(item, Mapping) and item.get("name"):
            if "envName" in item:
                found.append(conditions.info(f"{where}.http.headers.envName", "accepted, but envName is not acted on yet", "NotActedOn"))
                continue
            headers.append((str(item["name"]).lower(), str(item.get("value") or "")))
    return HttpExport(path=str(given.get("path") or "/"), timeout=_seconds(given.get("timeout")), headers=tuple(headers))


def _seconds(value: Any) -> float:
    try:
        return durations.seconds(str(value)) if value else 0.0
    except ValueError:
        return 0.0


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _defaults(value: Any, found: list[Condition]) -> dict[str, Any]:
    """Names by field; a field that is absent keeps the mesh's default, an empty one has no providers."""
    result: dict[str, Any] = {}
    if isinstance(value, Mapping):
        for key, name in (("metrics", "metrics"), ("tracing", "tracing"), ("accessLogging", "access_logging")):
            given = value.get(key)
            if isinstance(given, list) and all(isinstance(item, str) for item in given):
                result[name] = tuple(given)
            elif key in value and given is not None:
                found.append(conditions.error(f"mesh.defaultProviders.{key}", "must be a list of names of providers", "WrongType"))
    elif value is not None:
        found.append(conditions.error("mesh.defaultProviders", "must be a map with metrics, tracing, accessLogging", "WrongType"))
    return result


def _with_proxy_tracing(result: MeshTelemetry, tracing: Mapping[str, Any], found: list[Condition]) -> MeshTelemetry:
    zipkin, tracer = tracing.get("zipkin"), None
    if isinstance(zipkin, Mapping) and isinstance(zipkin.get("address"), str):
        host, _, port = zipkin["address"].rpartition(":")
        if host and port.isdecimal():
            tracer = Provider(name="defaultConfig.tracing", kind=ProviderKind.ZIPKIN, service=host.lower(), port=int(port), path=ZIPKIN_PATH)
        else:
            found.append(conditions.error("mesh.defaultConfig.tracing.zipkin.address", "must be a host and a port", "WrongType"))
    for key in ("lightstep", "datadog", "stackdriver", "openCensusAgent", "tlsSettings"):
        if key in tracing:
            found.append(conditions.info(f"mesh.defaultConfig.tracing.{key}", f"accepted, but {key} is not acted on yet", "NotActedOn"))
    sampling = tracing.get("sampling")
    tags = tracing.get("customTags")
    return replace(
        result,
        proxy_tracer=tracer,
        sampling=float(sampling) if isinstance(sampling, int | float) and not isinstance(sampling, bool) else None,
        custom_tags=tuple(_custom_tags(tags)) if isinstance(tags, Mapping) else (),
        max_tag_length=_whole(tracing.get("maxPathTagLength")),
    )


def _custom_tags(tags: Mapping[str, Any]) -> Iterator[CustomTag]:
    for name in sorted(tags):
        written = tags[name] if isinstance(tags[name], Mapping) else {}
        for source, key in ((TagSource.LITERAL, "value"), (TagSource.ENVIRONMENT, "name"), (TagSource.HEADER, "name")):
            value = written.get(source.value)
            if isinstance(value, Mapping) and value.get(key):
                yield CustomTag(name=str(name), source=source, value=str(value[key]), default=str(value.get("defaultValue") or ""))
