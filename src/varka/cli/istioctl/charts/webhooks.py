"""The webhooks that lead pods and resources to a revision: of the revision itself, or of a tag that points at it."""

from __future__ import annotations

from dataclasses import dataclass

from varka.client.api import Object

TAG, REVISION = "istio.io/tag", "istio.io/rev"
DEFAULT = "default"
DEFAULT_VALIDATOR = "istiod-default-validator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`value` is what namespaces and pods carry in the label `istio.io/rev`; it is a revision's name or a tag."""

    name: str
    labels: dict[str, str]
    value: str
    service: str
    namespace: str


def injector(route: Route) -> Object:
    """The webhook that adds sidecars: by the namespace's label, by the pod's; as the default also by the labels without a revision."""
    wanted = {"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}
    revision = {"key": REVISION, "operator": "In", "values": [route.value]}
    no_revision = {"key": REVISION, "operator": "DoesNotExist"}
    no_injection = {"key": "istio-injection", "operator": "DoesNotExist"}
    cases: list[tuple[str, list[Object], list[Object]]] = [
        ("rev.namespace", [revision, no_injection], [wanted]),
        ("rev.object", [no_revision, no_injection], [wanted, revision]),
    ]
    if route.value == DEFAULT:
        cases += [
            ("namespace", [{"key": "istio-injection", "operator": "In", "values": ["enabled"]}], [wanted]),
            ("object", [no_injection, no_revision], [{"key": "sidecar.istio.io/inject", "operator": "In", "values": ["true"]}, no_revision]),
        ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": route.name, "labels": route.labels},
        "webhooks": [
            {
                "name": f"{name}.sidecar-injector.istio.io",
                "clientConfig": _client(route, "/inject"),
                "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
                "namespaceSelector": {"matchExpressions": spaces},
                "objectSelector": {"matchExpressions": pods},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 10,
            }
            for name, spaces, pods in cases
        ],
    }


def validator(route: Route, *, everyone: bool) -> Object:
    """The webhook that checks resources of the revision; with `everyone` those that name no revision too."""
    selectors: list[tuple[str, Object]] = [("rev.validation.istio.io", {"key": REVISION, "operator": "In", "values": [route.value]})]
    if everyone:
        selectors.append(("validation.istio.io", {"key": REVISION, "operator": "DoesNotExist"}))
    rule = {
        "operations": ["CREATE", "UPDATE"],
        "apiGroups": ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"],
        "apiVersions": ["*"],
        "resources": ["*"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": route.name, "labels": route.labels},
        "webhooks": [
            {
                "name": name,
                "clientConfig": _client(route, "/validate"),
                "rules": [rule],
                "objectSelector": {"matchExpressions": [selector]},
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
            for name, selector in selectors
        ],
    }


def _client(route: Route, path: str) -> Object:
    return {"service": {"name": route.service, "namespace": route.namespace, "path": path, "port": 443}}
