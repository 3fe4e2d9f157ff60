"""What goes over a call: messages with their length in front, the status at the end, and the frames that carry both.

A message for many receivers is a `Shared` head, the same for all of them, and a tail of each receiver's own. The head is
cut into DATA frames once, for the first stream of a connection, which is the only one that most connections ever have.
"""

from __future__ import annotations

from enum import IntEnum
from urllib.parse import quote

FRAME_HEAD = 9
DATA = 0
END_STREAM = 1
PREFIX = 5
"""A message begins with the compressed flag and its length in four bytes."""


class Code(IntEnum):
    """How a call ended, as gRPC numbers it."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class CallError(Exception):
    """Ends a call with this code; the text is sent to the caller."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def status(code: Code, text: str = "") -> list[tuple[str, str]]:
    """The trailers that end a call."""
    trailers = [("grpc-status", str(int(code)))]
    if text:
        trailers.append(("grpc-message", quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")))
    return trailers


def prefix(size: int) -> bytes:
    """What goes before a message of that many bytes."""
    return b"\0" + size.to_bytes(4, "big")


def data_frame_head(stream: int, size: int) -> bytes:
    """The head of a DATA frame."""
    return size.to_bytes(3, "big") + b"\0\0" + stream.to_bytes(4, "big")


def data_frames(stream: int, data: bytes, largest: int) -> bytes:
    """The bytes in as many DATA frames as they need."""
    if len(data) <= largest:
        return data_frame_head(stream, len(data)) + data
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for at in range(0, len(data), largest):
        piece = view[at : at + largest]
        parts += (data_frame_head(stream, len(piece)), piece)
    return b"".join(parts)


class Shared:
    """Bytes that begin the message of many receivers."""

    __slots__ = ("_framed", "_key", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._key: tuple[int, int] = (0, 0)
        self._framed = b""

    def __len__(self) -> int:
        return len(self.data)

    def framed(self, stream: int, tail: int, largest: int) -> bytes:
        """The frames of a message's beginning, for a message to which `tail` more bytes belong."""
        if stream != 1:
            return data_frames(stream, prefix(len(self.data) + tail) + self.data, largest)
        if self._key != (tail, largest):
            self._key = (tail, largest)
            self._framed = data_frames(1, prefix(len(self.data) + tail) + self.data, largest)
        return self._framed


class Assembly:
    """Messages out of the bytes of one direction of a call."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with these bytes; CallError when one is compressed or longer than the limit."""
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        at = 0
        while len(buffer) - at >= PREFIX:
            if buffer[at]:
                raise CallError(Code.UNIMPLEMENTED, "compressed messages are not taken; send them as identity")
            size = int.from_bytes(buffer[at + 1 : at + PREFIX], "big")
            if size > self._limit:
                raise CallError(Code.RESOURCE_EXHAUSTED, f"a message of {size} bytes is longer than {self._limit}")
            if len(buffer) - at < PREFIX + size:
                break
            found.append(bytes(buffer[at + PREFIX : at + PREFIX + size]))
            at += PREFIX + size
        del buffer[:at]
        return found

    @property
    def partial(self) -> bool:
        """A message has begun and is not complete."""
        return bool(self._buffer)
