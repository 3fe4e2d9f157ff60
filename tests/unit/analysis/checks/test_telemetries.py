from __future__ import annotations

import pytest
from tests.builders.findings import found
from tests.builders.meshobjects import istio

PROVIDERS, LIGHTSTEP = "telemetry.ProviderAnalyzer", "telemetry.LightstepAnalyzer"


@pytest.mark.parametrize(
    ("logging", "mesh", "said"),
    [
        ({}, {}, ["IST0157 Telemetry default/t"]),
        ({"disabled": True}, {}, []),
        ({"providers": [{"name": "envoy"}]}, {}, []),
        ({}, {"defaultProviders": {"accessLogging": ["envoy"]}}, []),
    ],
)
def test_access_logging_without_provider(logging: dict[str, object], mesh: dict[str, object], said: list[str]) -> None:
    """It has no effect, unless the mesh names a provider."""
    assert found(PROVIDERS, istio("Telemetry", "t", {"accessLogging": [logging]}), mesh_config=mesh) == said


def test_lightstep() -> None:
    """Only providers of that kind are meant, whatever their names."""
    mesh = {"extensionProviders": [{"name": "old", "lightstep": {}}, {"name": "new", "opentelemetry": {}}, "x"]}
    traces = [istio("Telemetry", name, {"tracing": [{"providers": [{"name": name}]}]}) for name in ("old", "new")]
    assert found(LIGHTSTEP, *traces, mesh_config=mesh) == ["IST0002 Telemetry default/old"]
