from __future__ import annotations

from tests.builders.findings import found
from tests.builders.meshobjects import istio, pod


def _sidecar(name: str, namespace: str = "default", **labels: str) -> dict[str, object]:
    return istio("Sidecar", name, {"egress": [{"hosts": ["*/*"]}], **({"workloadSelector": {"labels": labels}} if labels else {})}, namespace)


def _telemetry(name: str, namespace: str = "default", **spec: object) -> dict[str, object]:
    return istio("Telemetry", name, {"tracing": [{}], **spec}, namespace)


def test_sidecars_of_one_pod() -> None:
    """A pod has one Sidecar; a selector that picks no pod of the namespace is told of."""
    pods = (pod("web", "10.0.0.1", labels={"tier": "front"}), pod("web", "10.0.0.2", "other"))
    made = (_sidecar("a", app="web"), _sidecar("b", tier="front"), _sidecar("c", app="none"), _sidecar("d", "other", app="web"))
    assert found("sidecar.SelectorAnalyzer", *pods, *made) == ["IST0101 Sidecar default/c", "IST0110 Sidecar default/a", "IST0110 Sidecar default/b"]


def test_sidecars_for_all_pods() -> None:
    """A namespace has one at most."""
    assert found("sidecar.DefaultSelectorAnalyzer", _sidecar("a"), _sidecar("b"), _sidecar("c", "other"), _sidecar("d", app="web")) == [
        "IST0111 Sidecar default/a",
        "IST0111 Sidecar default/b",
    ]


def test_telemetry_of_one_pod() -> None:
    """The same for Telemetry."""
    selector = {"selector": {"matchLabels": {"app": "web"}}}
    said = found("telemetry.SelectorAnalyzer", pod("web", "10.0.0.1"), _telemetry("a", **selector), _telemetry("b", **selector))
    assert said == ["IST0159 Telemetry default/a", "IST0159 Telemetry default/b"]


def test_telemetry_for_all_pods() -> None:
    """One with targetRefs is not for all pods."""
    target = {"targetRefs": [{"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "g"}]}
    assert found("telemetry.DefaultSelectorAnalyzer", _telemetry("a"), _telemetry("b", **target)) == []
    assert found("telemetry.DefaultSelectorAnalyzer", _telemetry("a"), _telemetry("b")) == ["IST0160 Telemetry default/a", "IST0160 Telemetry default/b"]
