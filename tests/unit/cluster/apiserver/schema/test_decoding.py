"""Taking in objects of builtin kinds."""

from __future__ import annotations

import pytest

from varka.cluster.apiserver.schema import decoding, definitions

POD = definitions.node("io.k8s.api.core.v1.Pod")
DEPLOYMENT = definitions.node("io.k8s.api.apps.v1.Deployment")


def test_unknown_fields_are_dropped_and_named() -> None:
    """A field that the kind does not know goes, and its path is told."""
    decoder = decoding.Decoder()
    result = decoder.decode(POD, {"spec": {"foo": 1, "containers": [{"name": "a", "bar": {}}]}})
    assert result == {"spec": {"containers": [{"name": "a"}]}}
    assert decoder.unknown == ["spec.foo", "spec.containers[0].bar"]


def test_empty_values_are_left_out() -> None:
    """Nulls, empty maps, lists and texts go, empty objects stay, as with Go's encoder."""
    given = {"metadata": {"creationTimestamp": None, "labels": {}, "namespace": ""}, "spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    assert decoding.Decoder().decode(POD, given) == {"metadata": {}, "spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"replicas": "3"}, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"replicas": 1.5}, "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"replicas": True}, "json: cannot unmarshal bool into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"paused": "x"}, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool"),
        ({"selector": []}, "json: cannot unmarshal array into Go struct field DeploymentSpec.spec.selector of type v1.LabelSelector"),
    ],
)
def test_wrong_types(spec: dict[str, object], text: str) -> None:
    """A wrong type is refused in the words of Go's decoder."""
    with pytest.raises(decoding.WrongType) as caught:
        decoding.Decoder().decode(DEPLOYMENT, {"spec": spec})
    assert str(caught.value) == text


def test_input_is_not_changed() -> None:
    """Decoding makes new objects."""
    given = {"spec": {"containers": [{"name": "a", "x": 1}]}}
    decoding.Decoder().decode(POD, given)
    assert given == {"spec": {"containers": [{"name": "a", "x": 1}]}}


def test_missing_required_fields() -> None:
    """Required fields that are absent are named; status and metadata are not looked at."""
    causes = decoding.missing(DEPLOYMENT, {"status": {"conditions": [{}]}, "spec": {"template": {"spec": {"containers": [{}]}}}})
    assert [cause.field for cause in causes] == ["spec.selector", "spec.template.spec.containers[0].name"]


def test_int_or_string_and_quantity() -> None:
    """Ports take numbers and names; a quantity given as a number becomes text."""
    node = definitions.node("io.k8s.api.core.v1.Container")
    given = {"name": "a", "livenessProbe": {"httpGet": {"port": "http"}}, "resources": {"limits": {"cpu": 1}}}
    assert decoding.Decoder().decode(node, given)["resources"] == {"limits": {"cpu": "1"}}
