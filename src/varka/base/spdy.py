"""SPDY/3.1 frames, as far as Kubernetes' port-forward uses them inside WebSocket messages.

Either end of a connection keeps one `Codec`: header blocks are compressed with one zlib stream a direction for the
life of the connection. Control frames not needed here (SETTINGS, WINDOW_UPDATE, HEADERS) are handed up undecoded.
Source: the SPDY draft 3.1, sections 2.2, 2.6 and 2.6.10.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
DATA = 0
FLAG_FIN = 1
MAX_FRAME = 1 << 20

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization cache-control "
    "connection content-base content-encoding content-language content-length content-location content-md5 content-range content-type date etag "
    "expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning "
    "www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information204 No Content"
    "301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public"
    "privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.replace("_", " ").encode() for word in _WORDS.split()) + _TAIL.encode()
"""The zlib dictionary that both ends agree on (Adler-32 e3c6a7c2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame; `kind` is DATA or a control type, `stream` 0 where a frame belongs to the connection."""

    kind: int
    stream: int = 0
    flags: int = 0
    data: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def fin(self) -> bool:
        """The sender will send no more on this stream."""
        return bool(self.flags & FLAG_FIN)


class Codec:
    """Frames from and to bytes; `feed` keeps what is incomplete. ValueError when the peer sends what is no SPDY."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._buffer = bytearray()

    def data(self, stream: int, data: bytes, *, fin: bool = False) -> bytes:
        """A DATA frame."""
        return struct.pack(">II", stream, (FLAG_FIN if fin else 0) << 24 | len(data)) + data

    def syn_stream(self, stream: int, headers: Mapping[str, str], *, fin: bool = False) -> bytes:
        """Open `stream` with `headers`."""
        return _control(SYN_STREAM, FLAG_FIN if fin else 0, struct.pack(">IIH", stream, 0, 0) + self._pack(headers))

    def syn_reply(self, stream: int, headers: Mapping[str, str] | None = None) -> bytes:
        """Accept `stream`."""
        return _control(SYN_REPLY, 0, struct.pack(">I", stream) + self._pack(headers or {}))

    def rst_stream(self, stream: int, status: int = 5) -> bytes:
        """End `stream` at once; status 5 is CANCEL."""
        return _control(RST_STREAM, 0, struct.pack(">II", stream, status))

    def ping(self, body: bytes) -> bytes:
        """A ping, or the answer to one, with the four bytes of its id."""
        return _control(PING, 0, body)

    def goaway(self, last_stream: int = 0) -> bytes:
        """Tell the peer that no further streams are taken."""
        return _control(GOAWAY, 0, struct.pack(">II", last_stream, 0))

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The frames that `chunk` completes."""
        self._buffer += chunk
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from(">II", self._buffer)
            length = second & 0xFFFFFF
            if length > MAX_FRAME:
                raise ValueError(f"a frame of {length} bytes is too long")
            if len(self._buffer) < 8 + length:
                return
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            yield self._frame(first, second >> 24, body)

    def _frame(self, first: int, flags: int, body: bytes) -> Frame:
        if not first & 0x80000000:
            return Frame(kind=DATA, stream=first, flags=flags, data=body)
        if first >> 16 != 0x8003:
            raise ValueError("not a frame of SPDY/3")
        kind = first & 0xFFFF
        if kind in (PING, SETTINGS) or len(body) < 4:
            return Frame(kind=kind, flags=flags, data=body)
        stream = int.from_bytes(body[:4]) & 0x7FFFFFFF
        if kind in (SYN_STREAM, SYN_REPLY, HEADERS):
            return Frame(kind=kind, stream=stream, flags=flags, headers=self._unpack(body[10 if kind == SYN_STREAM else 4 :]))
        return Frame(kind=kind, stream=stream, flags=flags, data=body[4:])

    def _pack(self, headers: Mapping[str, str]) -> bytes:
        block = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                block.append(struct.pack(">I", len(text)) + text)
        return self._deflate.compress(b"".join(block)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def _unpack(self, packed: bytes) -> dict[str, str]:
        try:
            block = self._inflate.decompress(packed, MAX_FRAME)
            (count,) = struct.unpack_from(">I", block)
            texts: list[str] = []
            position = 4
            for _ in range(2 * count):
                (length,) = struct.unpack_from(">I", block, position)
                texts.append(block[position + 4 : position + 4 + length].decode())
                position += 4 + length
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"a header block cannot be read: {error}") from error
        return dict(zip(texts[::2], texts[1::2], strict=True))


def _control(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">II", 0x80030000 | kind, flags << 24 | len(body)) + body
