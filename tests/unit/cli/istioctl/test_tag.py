"""The webhooks of tags, and of revisions beside them."""

from __future__ import annotations

from typing import Any

import pytest

from varka.cli.istioctl import tag
from varka.cli.istioctl.charts import istiod
from varka.cli.istioctl.operator import load


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether labels satisfy the expressions of a selector."""
    for term in selector["matchExpressions"]:
        value, values = labels.get(term["key"]), term.get("values", [])
        holds = {"In": value in values, "NotIn": value not in values, "DoesNotExist": value is None, "Exists": value is not None}
        if not holds[term["operator"]]:
            return False
    return True


def called(configurations: list[dict[str, Any]], namespace: dict[str, str], pod: dict[str, str] | None = None) -> list[str]:
    """The services whose webhooks see a pod."""
    return [
        hook["clientConfig"]["service"]["name"]
        for configuration in configurations
        if configuration["kind"] == "MutatingWebhookConfiguration"
        for hook in configuration["webhooks"]
        if matches(hook["namespaceSelector"], namespace) and matches(hook["objectSelector"], pod or {})
    ]


REVISIONS = [*istiod.objects(load([], [])), *istiod.objects(load([], [], revision="canary"))]
EVERYTHING = [*REVISIONS, *tag.objects("prod", "canary", "istio-system")]


@pytest.mark.parametrize(
    ("namespace", "pod", "expected"),
    [
        ({"istio-injection": "enabled"}, {}, ["istiod"]),
        ({"istio.io/rev": "default"}, {}, ["istiod"]),
        ({"istio.io/rev": "canary"}, {}, ["istiod-canary"]),
        ({"istio.io/rev": "prod"}, {}, ["istiod-canary"]),
        ({"istio.io/rev": "prod"}, {"sidecar.istio.io/inject": "false"}, []),
        ({"istio-injection": "enabled", "istio.io/rev": "canary"}, {}, ["istiod"]),
        ({"istio-injection": "disabled"}, {"istio.io/rev": "canary"}, []),
        ({}, {"istio.io/rev": "prod"}, ["istiod-canary"]),
        ({}, {"sidecar.istio.io/inject": "true"}, ["istiod"]),
        ({}, {}, []),
        ({"istio.io/rev": "unknown"}, {}, []),
    ],
)
def test_one_control_plane_injects(namespace: dict[str, str], pod: dict[str, str], expected: list[str]) -> None:
    """Whatever the labels of namespace and pod, one control plane at most is asked."""
    assert called(EVERYTHING, namespace, pod) == expected


def test_the_default_tag() -> None:
    """It answers for the labels that name no revision, and validates what names none."""
    found = tag.objects("default", "canary", "istio-system")
    assert called(found, {"istio-injection": "enabled"}) == ["istiod-canary"]
    (validator,) = (obj for obj in found if obj["kind"] == "ValidatingWebhookConfiguration")
    assert validator["metadata"]["name"] == "istiod-default-validator"
    assert any(matches(hook["objectSelector"], {}) for hook in validator["webhooks"])


def test_a_revision_validates_its_own() -> None:
    """Resources without a revision are validated by the default control plane only."""
    validators = [obj for obj in REVISIONS if obj["kind"] == "ValidatingWebhookConfiguration"]
    asked = [
        [hook["clientConfig"]["service"]["name"] for obj in validators for hook in obj["webhooks"] if matches(hook["objectSelector"], labels)]
        for labels in ({}, {"istio.io/rev": "canary"}, {"istio.io/rev": "default"})
    ]
    assert asked == [["istiod"], ["istiod-canary"], ["istiod"]]
