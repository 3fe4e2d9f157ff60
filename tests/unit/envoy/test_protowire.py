from __future__ import annotations

from envoy.config.core.v3 import base_pb2

from varka.envoy import messages, protowire


def test_metadata_by_hand_is_what_protobuf_writes() -> None:
    """Bytes written by hand parse to the message that constructors build, long values included."""
    fields = {"b": "x" * 300, "a": "é"}
    parsed = base_pb2.Metadata.FromString(protowire.text_metadata("istio", fields))
    assert parsed == messages.metadata(istio=fields)


def test_varint() -> None:
    """Seven bits a byte, lowest first."""
    assert [protowire.varint(value).hex() for value in (0, 127, 128, 300)] == ["00", "7f", "8001", "ac02"]
