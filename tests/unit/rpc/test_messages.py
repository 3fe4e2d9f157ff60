"""Messages, their prefix and their frames."""

from __future__ import annotations

import pytest

from varka.rpc.messages import Assembly, CallError, Code, Shared, data_frames, prefix, status


def payloads(frames: bytes) -> list[tuple[int, bytes]]:
    """Stream and payload of each DATA frame."""
    found, at = [], 0
    while at < len(frames):
        size = int.from_bytes(frames[at : at + 3], "big")
        assert frames[at + 3 : at + 5] == b"\0\0"
        found.append((int.from_bytes(frames[at + 5 : at + 9], "big"), frames[at + 9 : at + 9 + size]))
        at += 9 + size
    return found


@pytest.mark.parametrize("size, sizes", [(0, [0]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_bytes_are_cut_into_frames_of_the_largest_size(size: int, sizes: list[int]) -> None:
    """No frame is larger than the receiver allows, and nothing is lost."""
    data = bytes(range(size))
    found = payloads(data_frames(7, data, 10))
    assert [len(payload) for _, payload in found] == sizes
    assert b"".join(payload for _, payload in found) == data
    assert {stream for stream, _ in found} == {7}


def test_shared_frames_are_made_once_for_the_first_stream() -> None:
    """Other streams and other lengths get frames of their own."""
    head = Shared(b"x" * 30)
    first = head.framed(1, 4, 16)
    assert head.framed(1, 4, 16) is first
    assert b"".join(payload for _, payload in payloads(first)) == prefix(34) + b"x" * 30
    assert {stream for stream, _ in payloads(head.framed(3, 4, 16))} == {3}
    assert payloads(head.framed(1, 5, 16))[0][1][:5] == prefix(35)


def test_messages_are_put_together_from_any_pieces() -> None:
    """Where the pieces end does not matter."""
    data = prefix(3) + b"abc" + prefix(0) + prefix(2) + b"de"
    assembly = Assembly(100)
    found = [message for at in range(len(data)) for message in assembly.feed(data[at : at + 1])]
    assert found == [b"abc", b"", b"de"]
    assert not assembly.partial
    assert Assembly(100).feed(data) == found


def test_message_above_the_limit_is_refused_before_it_has_come() -> None:
    """Its length is enough."""
    with pytest.raises(CallError) as caught:
        Assembly(10).feed(prefix(11))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


def test_compressed_message_is_refused() -> None:
    """No compression was offered."""
    with pytest.raises(CallError) as caught:
        Assembly(10).feed(b"\1" + prefix(1)[1:] + b"x")
    assert caught.value.code is Code.UNIMPLEMENTED


def test_status_text_is_percent_encoded() -> None:
    """Trailers hold printable ASCII only."""
    assert status(Code.UNAVAILABLE, "100 % ü\n") == [("grpc-status", "14"), ("grpc-message", "100 %25 %C3%BC%0A")]
    assert status(Code.OK) == [("grpc-status", "0")]
