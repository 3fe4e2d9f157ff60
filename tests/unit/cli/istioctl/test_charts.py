from __future__ import annotations

from typing import Any

import pytest

from varka.cli.istioctl import operator
from varka.cli.istioctl.charts import gateways, istiod


def autoscalers(*settings: str, profile: str = "") -> dict[str, Any]:
    """Name → spec of the autoscalers that an installation has."""
    made = operator.load([], list(settings), profile=profile)
    assert made.ignored == ()
    objects = istiod.objects(made) + [obj for gateway in made.gateways for obj in gateways.objects(made, gateway)]
    return {obj["metadata"]["name"]: obj["spec"] for obj in objects if obj["kind"] == "HorizontalPodAutoscaler"}


def test_the_default_profile_has_autoscalers() -> None:
    """For istiod and its gateway: one to five replicas at 80 % of the requested processor time."""
    found = autoscalers()
    assert sorted(found) == ["istio-ingressgateway", "istiod"]
    assert found["istiod"] == {
        "minReplicas": 1,
        "maxReplicas": 5,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "istiod"},
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
    }


@pytest.mark.parametrize(("profile", "names"), [("demo", []), ("minimal", ["istiod"])])
def test_other_profiles(profile: str, names: list[str]) -> None:
    """The demo profile keeps one replica of each."""
    assert sorted(autoscalers(profile=profile)) == names


def test_values_decide() -> None:
    """Switched off, and other limits."""
    found = autoscalers("values.pilot.autoscaleEnabled=false", "values.gateways.istio-ingressgateway.autoscaleMax=3")
    assert [(name, spec["maxReplicas"]) for name, spec in found.items()] == [("istio-ingressgateway", 3)]
