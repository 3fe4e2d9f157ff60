"""Settings of the trace store, from its environment: Jaeger's variables where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from varka.base import durations
from varka.base.errors import VarkaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set from outside; field docs name the variable."""

    bind: str = "0.0.0.0"
    """Address of all listeners; BIND_ADDRESS."""
    folder: Path = Path("/tmp/traces")
    """Where spans are kept; BADGER_DIRECTORY_VALUE, which upstream's manifest sets to its volume."""
    base_path: str = "/"
    """Path that the query API is under; QUERY_BASE_PATH."""
    max_age: float = 48 * 3600.0
    """Seconds that a span is kept; BADGER_SPAN_STORE_TTL."""
    max_bytes: int = 512 * 1024 * 1024
    """Size of the store; when it is larger, the oldest spans go; TRACES_MAX_BYTES."""
    queue_spans: int = 20_000
    """Spans that may wait for the disk; further ones are dropped; COLLECTOR_QUEUE_SIZE."""
    query_port: int = 16686
    """Jaeger's query API."""
    admin_port: int = 14269
    """Health and metrics."""
    otlp_grpc_port: int = 4317
    """OTLP over gRPC."""
    otlp_http_port: int = 4318
    """OTLP over HTTP."""
    zipkin_port: int = 9411
    """Zipkin's API; COLLECTOR_ZIPKIN_HOST_PORT."""
    log_level: str = "INFO"
    """LOG_LEVEL."""


def load(environment: Mapping[str, str]) -> Settings:
    """The settings; VarkaError names the variable that cannot be used."""
    given: dict[str, object] = {}
    if environment.get("BIND_ADDRESS"):
        given["bind"] = environment["BIND_ADDRESS"]
    if environment.get("BADGER_DIRECTORY_VALUE"):
        given["folder"] = Path(environment["BADGER_DIRECTORY_VALUE"])
    if environment.get("QUERY_BASE_PATH"):
        given["base_path"] = "/" + environment["QUERY_BASE_PATH"].strip("/")
    if environment.get("LOG_LEVEL"):
        given["log_level"] = environment["LOG_LEVEL"]
    if environment.get("BADGER_SPAN_STORE_TTL"):
        try:
            given["max_age"] = durations.seconds(environment["BADGER_SPAN_STORE_TTL"])
        except ValueError as error:
            raise VarkaError(f"BADGER_SPAN_STORE_TTL is no duration: {environment['BADGER_SPAN_STORE_TTL']!r}", "give one such as 48h") from error
    for variable, name in (("TRACES_MAX_BYTES", "max_bytes"), ("COLLECTOR_QUEUE_SIZE", "queue_spans"), ("COLLECTOR_ZIPKIN_HOST_PORT", "zipkin_port")):
        text = environment.get(variable, "").rpartition(":")[2]
        if text and not text.isdigit():
            raise VarkaError(f"{variable} is no number: {environment[variable]!r}", "give a whole number")
        if text:
            given[name] = int(text)
    return Settings(**given)  # type: ignore[arg-type]
