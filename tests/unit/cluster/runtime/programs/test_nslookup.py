"""The stand-in for nslookup."""

from __future__ import annotations

import struct

import pytest

from varka.cluster.runtime.programs import nslookup


def message(*records: bytes) -> bytes:
    """An answer to a question for web.example."""
    question = b"\x03web\x07example\x00" + struct.pack("!HH", 1, 1)
    return struct.pack("!6H", 7, 0x8180, 1, len(records), 0, 0) + question + b"".join(records)


def record(owner: bytes, kind: int, value: bytes) -> bytes:
    """One answer."""
    return owner + struct.pack("!HHIH", kind, 1, 30, len(value)) + value


def test_answers() -> None:
    """Addresses of both kinds and canonical names, compressed ones too."""
    data = message(
        record(b"\xc0\x0c", 5, b"\x01w\xc0\x10"),
        record(b"\x01w\xc0\x10", 1, bytes([10, 0, 0, 1])),
        record(b"\x01w\xc0\x10", 28, bytes(15) + b"\x01"),
    )
    assert nslookup.answers(data) == [("web.example", 5, "w.example"), ("w.example", 1, "10.0.0.1"), ("w.example", 28, "::1")]


def test_endless_compression_ends() -> None:
    """A name that points to itself is refused."""
    with pytest.raises(nslookup.LookupFailedError, match="damaged answer"):
        nslookup.read_name(bytes(12) + b"\xc0\x0c", 12)


@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("web", ["web.n.svc.x", "web.svc.x", "web"]),
        ("a.b.c.d.e.f", ["a.b.c.d.e.f", "a.b.c.d.e.f.n.svc.x", "a.b.c.d.e.f.svc.x"]),
        ("web.n.", ["web.n."]),
    ],
)
def test_candidates(name: str, tried: list[str]) -> None:
    """The search list comes first for names with few dots, and never for those that end in one."""
    assert nslookup.candidates(name, ["n.svc.x", "svc.x"], 5) == tried
