from __future__ import annotations

import pytest
from tests.builders.findings import found, kubernetes, texts
from tests.builders.meshobjects import service

INJECTORS, EXTERNAL = "webhook.Analyzer", "externalcontrolplane.ExternalControlPlaneAnalyzer"
SERVICE = {"service": {"name": "istiod", "namespace": "istio-system"}}
ISTIOD = service("istiod", namespace="istio-system")


def _hook(name: str, *webhooks: dict[str, object], kind: str = "MutatingWebhookConfiguration", **labels: str) -> dict[str, object]:
    made = kubernetes(
        kind, name, namespace="", version="admissionregistration.k8s.io/v1", labels={key.replace("_", "."): value for key, value in labels.items()}
    )
    return {**made, "webhooks": list(webhooks)}


def _webhook(name: str, client: dict[str, object] = SERVICE, **namespaces: str) -> dict[str, object]:
    return {"name": f"{name}.istio.io", "clientConfig": client, "namespaceSelector": {"matchLabels": {k.replace("_", "-"): v for k, v in namespaces.items()}}}


def test_pods_that_two_would_inject() -> None:
    """No pod may meet the selectors of two webhooks, of one configuration or of two."""
    one = _hook("a", _webhook("x", istio_injection="enabled"))
    assert found(INJECTORS, ISTIOD, one, _hook("b", _webhook("y", istio_injection="disabled"))) == []
    said = texts(INJECTORS, ISTIOD, one, _hook("b", _webhook("y")))
    assert said == [f"Webhook overlaps with others: [{other}]. This may cause injection to occur twice." for other in ("b/y.istio.io", "a/x.istio.io")]
    assert found(INJECTORS, ISTIOD, one, _hook("b", {"name": "other.example.com"})) == []


def test_revisions_are_tried_too() -> None:
    """Two webhooks for one revision overlap, of two revisions they do not."""
    hooks = [_hook(name, _webhook(name, **{"istio.io/rev": revision})) for name, revision in (("a", "r1"), ("b", "r1"), ("c", "r2"))]
    assert found(INJECTORS, ISTIOD, *hooks) == ["IST0139 MutatingWebhookConfiguration a", "IST0139 MutatingWebhookConfiguration b"]


def test_control_plane_that_is_not_there() -> None:
    """The Service of an injector has to exist."""
    assert texts(INJECTORS, _hook("a", _webhook("x"))) == ["Injector refers to a control plane service that does not exist: istio-system/istiod."]


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ({}, ["IST0163"]),
        (SERVICE, []),
        ({"url": "https://istiod.example.com:15017/inject"}, []),
        ({"url": "https://lost.example.com:15017/inject"}, ["IST0163"]),
        ({"url": "https://10.0.0.1:15017/inject"}, ["IST0164"]),
        ({"url": "https://[::1"}, ["IST0163"]),
    ],
)
def test_control_plane_outside(client: dict[str, object], said: list[str]) -> None:
    """A URL wants a name that can be looked up."""
    hooks = (_hook("istio-sidecar-injector", _webhook("x", client)), _hook("others", _webhook("y", {})))
    assert [text.split()[0] for text in found(EXTERNAL, *hooks, unresolved=frozenset({"lost.example.com"}))] == said
