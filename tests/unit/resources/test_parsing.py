from __future__ import annotations

from tests.builders.meshobjects import istio

from varka.resources import Severity, parse


def test_typed_spec() -> None:
    """A spec becomes its class, with camelCase fields as snake_case attributes."""
    parsed = parse(istio("VirtualService", "v", {"hosts": ["a"], "exportTo": ["."], "http": [{"mirror_percent": 5, "mirrorPercent": 6}]}))
    assert parsed.ref == ("VirtualService", "default", "v")
    assert parsed.spec.hosts == ("a",)
    assert parsed.spec.export_to == (".",)
    assert (parsed.spec.http[0].mirror_percent, parsed.spec.http[0].mirror_percent_old) == (6, 5)
    assert parsed.conditions == ()


def test_metadata() -> None:
    """Times become seconds, the controller becomes the owner."""
    owners = [{"kind": "Node", "name": "n"}, {"kind": "ReplicaSet", "name": "web-7c", "controller": True}]
    meta = parse(istio("Gateway", "g", {}, creationTimestamp="1970-01-01T00:01:00Z", generation=3, ownerReferences=owners)).meta
    assert (meta.created, meta.generation, meta.key) == (60.0, 3, "default/g")
    assert meta.owner is not None and meta.owner.name == "web-7c"


def test_unknown_field_is_left_out() -> None:
    """An unknown field leaves a warning with its path and a guess, and the rest is used."""
    parsed = parse(istio("DestinationRule", "d", {"host": "a", "subset": [], "trafficPolicy": {"loadBalancer": {"simpel": "RANDOM"}}}))
    assert parsed.spec.host == "a"
    assert [item.text for item in parsed.conditions] == [
        "spec.subset: unknown field; did you mean 'subsets'",
        "spec.trafficPolicy.loadBalancer.simpel: unknown field; did you mean 'simple'",
    ]


def test_every_wrong_value_is_told() -> None:
    """Wrong types and values are all found at once, and the spec is not used."""
    spec = {"hosts": "a", "http": [{"retries": {"attempts": "3"}, "redirect": {"derivePort": "X"}}, 7]}
    parsed = parse(istio("VirtualService", "v", spec))
    assert parsed.spec is None
    assert parsed.failed
    assert [item.text for item in parsed.conditions] == [
        "spec.hosts: must be of type array, not string",
        "spec.http[0].retries.attempts: must be of type integer, not string",
        "spec.http[0].redirect.derivePort: 'X' is not allowed; use one of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT",
        "spec.http[1]: must be of type object, not integer",
    ]


def test_null_counts_as_absent() -> None:
    """A field that is null is read as if it were not there."""
    parsed = parse(istio("VirtualService", "v", {"hosts": ["a"], "http": [{"timeout": None, "match": None}]}))
    assert parsed.conditions == ()
    assert parsed.spec.http[0].timeout is None


def test_missing_spec_is_an_empty_one() -> None:
    """A resource without a spec is one with an empty spec."""
    parsed = parse({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "p"}})
    assert parsed.spec is not None
    assert parsed.spec.mtls is None


def test_unknown_version() -> None:
    """A version that is not served is an error that names one that is."""
    found = parse({"apiVersion": "networking.istio.io/v7", "kind": "Gateway", "metadata": {"name": "g"}}).conditions
    assert [(item.severity, item.text) for item in found] == [(Severity.ERROR, "apiVersion: Gateway has no version 'v7'; use networking.istio.io/v1")]


def test_nothing_raises() -> None:
    """Objects that are no resources at all leave conditions."""
    for obj in ({}, {"kind": 3}, {"apiVersion": None, "kind": "Gateway", "metadata": []}, istio("Gateway", "g", [])):  # type: ignore[arg-type]
        assert parse(obj).conditions


def test_kubernetes_objects_are_read_in_part() -> None:
    """Of a Kubernetes object only what a mesh needs is read; nulls are harmless."""
    parsed = parse(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "s", "managedFields": []},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["1.2.3.4"], "conditions": {"ready": None}, "zone": None, "new": 1}],
            "ports": None,
        }
    )
    assert parsed.conditions == ()
    assert parsed.spec.endpoints[0].addresses == ("1.2.3.4",)
    assert parsed.spec.ports == ()


def test_gateway_of_another_api_is_another_kind() -> None:
    """A Gateway of the Gateway API is not read as Istio's, and one of a third group not at all."""
    spec = {"gatewayClassName": "istio", "listeners": []}
    parsed = parse({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"}, "spec": spec})
    assert parsed.spec.gateway_class_name == "istio"
    foreign = parse({"apiVersion": "example.org/v1", "kind": "Gateway", "metadata": {"name": "g"}, "spec": spec})
    assert foreign.spec is None
    assert [item.reason for item in foreign.conditions] == ["UnknownKind"]


def test_labels_must_be_text() -> None:
    """A label that is no text is told, and left out."""
    parsed = parse(istio("Gateway", "g", {}, labels={"a": 1, "b": "2"}))
    assert parsed.meta.labels == {"b": "2"}
    assert [item.path for item in parsed.conditions] == ["metadata.labels[a]"]
