"""Protobuf bodies: those that kubectl 1.37 really sent, and the shapes that it sends rarely."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varka.cluster.apiserver import protobuf

BODIES: dict[str, Any] = json.loads((Path(__file__).parent / "kubectl_bodies.json").read_text())


def varint(number: int) -> bytes:
    """A number on the wire."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = b""
    while number > 127:
        out += bytes((number & 127 | 128,))
        number >>= 7
    return out + bytes((number,))


def field(number: int, value: bytes | int) -> bytes:
    """A field on the wire."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    """A whole body."""
    return protobuf.MAGIC + field(1, field(1, api_version.encode()) + field(2, kind.encode())) + field(2, raw)


@pytest.mark.parametrize("command", BODIES)
def test_kubectl(command: str) -> None:
    """The body that a kubectl command sends decodes to the object that the command means."""
    assert protobuf.decode(base64.b64decode(BODIES[command]["body"])) == BODIES[command]["object"]


def test_secret_with_bytes() -> None:
    """Map values of type bytes become base64."""
    raw = field(2, field(1, b"key") + field(2, b"\x00\xff"))
    assert protobuf.decode(envelope("v1", "Secret", raw)) == {"apiVersion": "v1", "kind": "Secret", "data": {"key": "AP8="}}


def test_pointer_zero_is_kept() -> None:
    """`replicas: 0` is not the same as no replicas."""
    decoded = protobuf.decode(envelope("apps/v1", "Deployment", field(2, field(1, 0) + field(5, 0))))
    assert decoded["spec"] == {"replicas": 0}


def test_inline_message() -> None:
    """A volume's source lies inline in the volume, and an empty emptyDir is still an emptyDir."""
    volume = field(1, b"cache") + field(2, field(2, b""))
    decoded = protobuf.decode(envelope("v1", "Pod", field(2, field(1, volume))))
    assert decoded["spec"] == {"volumes": [{"name": "cache", "emptyDir": {}}]}


def test_time_quantity_and_negative_number() -> None:
    """Times become RFC 3339, quantities their text, and negative numbers keep their sign."""
    metadata = field(8, field(1, 1_700_000_000))
    resources = field(2, field(1, b"cpu") + field(2, field(1, b"100m")))
    spec = field(2, field(1, b"app") + field(8, resources)) + field(25, -5)
    decoded = protobuf.decode(envelope("v1", "Pod", field(1, metadata) + field(2, spec)))
    assert decoded["metadata"] == {"creationTimestamp": "2023-11-14T22:13:20Z"}
    assert decoded["spec"] == {"containers": [{"name": "app", "resources": {"requests": {"cpu": "100m"}}}], "priority": -5}


def test_extra_of_a_review() -> None:
    """A map from names to lists of strings, as SubjectAccessReview has it."""
    spec = field(3, b"jane") + field(5, field(1, b"scopes") + field(2, field(1, b"a") + field(1, b"b")))
    decoded = protobuf.decode(envelope("authorization.k8s.io/v1", "SubjectAccessReview", field(2, spec)))
    assert decoded["spec"] == {"user": "jane", "extra": {"scopes": ["a", "b"]}}


def test_packed_numbers() -> None:
    """Repeated numbers may come packed."""
    decoded = protobuf.decode(envelope("v1", "Pod", field(2, field(14, field(4, varint(1) + varint(300))))))
    assert decoded["spec"]["securityContext"] == {"supplementalGroups": [1, 300]}


def test_delete_options_under_another_version() -> None:
    """DeleteOptions carry the version of the group that they are sent to."""
    raw = field(1, 5) + field(4, b"Foreground")
    assert protobuf.decode(envelope("apps/v1", "DeleteOptions", raw)) == {
        "apiVersion": "apps/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 5,
        "propagationPolicy": "Foreground",
    }


def test_unknown_field_is_passed_over() -> None:
    """Fields of later versions do no harm."""
    raw = field(1, field(1, b"x")) + field(99, b"later") + varint(98 << 3 | 1) + struct.pack("<d", 1.5)
    assert protobuf.decode(envelope("v1", "Namespace", raw))["metadata"] == {"name": "x"}


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        protobuf.MAGIC + b"\x0a\x7f",
        envelope("v1", "Namespace", b"\x0a\x20a"),
        envelope("v9", "Unheard", b""),
        envelope("v1", "Namespace", b"\x0b"),
        envelope("v1", "Namespace", field(1, 5)),
    ],
)
def test_malformed(body: bytes) -> None:
    """What is cut short, of an unknown kind or of the wrong wire type is refused with a ValueError."""
    with pytest.raises(ValueError):
        protobuf.decode(body)


@given(st.binary(max_size=60), st.sampled_from(["Pod", "Secret", "Service", "Event"]))
@settings(max_examples=300, deadline=None)
def test_any_bytes(raw: bytes, kind: str) -> None:
    """Whatever comes is an object or a ValueError."""
    for body in (protobuf.MAGIC + raw, envelope("v1", kind, raw), envelope("v1", kind, field(1, raw) + field(2, raw))):
        try:
            assert protobuf.decode(body)["kind"] in (kind, "")
        except ValueError:
            continue


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_bodies(data: st.DataObject) -> None:
    """A real body with one changed byte is an object or a ValueError."""
    body = bytearray(base64.b64decode(data.draw(st.sampled_from([entry["body"] for entry in BODIES.values()]))))
    body[data.draw(st.integers(4, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(protobuf.decode(bytes(body)), dict)
    except ValueError:
        return
