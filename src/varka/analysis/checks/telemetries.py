"""Telemetry whose providers are missing or given up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from varka.analysis import catalog
from varka.analysis.context import Context
from varka.analysis.messages import Message


def providers(context: Context) -> Iterable[Message]:
    """Check that access logging names a provider, unless the mesh has one by default."""
    defaults = context.surroundings.mesh_config.get("defaultProviders")
    if isinstance(defaults, Mapping) and defaults.get("accessLogging"):
        return
    for item in context.all("Telemetry"):
        for index, logging in enumerate(item.spec.access_logging):
            if not logging.disabled and not logging.providers:
                yield catalog.INVALID_PROVIDER.about(item, item.meta.name, item.meta.namespace, path=f"spec.accessLogging[{index}]")


def lightstep(context: Context) -> Iterable[Message]:
    """Check that no tracing goes to a provider of the kind `lightstep`, which Istio has given up for OpenTelemetry."""
    names = {str(one.get("name")) for one in _maps(context.surroundings.mesh_config.get("extensionProviders")) if "lightstep" in one}
    for item in context.all("Telemetry"):
        for index, tracing in enumerate(item.spec.tracing):
            for number, provider in enumerate(tracing.providers):
                if provider.name in names:
                    text = f"The Lightstep provider {provider.name} is still in use; move to an OpenTelemetry provider"
                    yield catalog.DEPRECATED.about(item, text, path=f"spec.tracing[{index}].providers[{number}].name")


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
