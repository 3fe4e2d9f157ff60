"""Reading a body that somebody else decides the length of.

aiohttp's `read(n)` gives what has arrived so far, which of a long answer is a part. This reads on to its end, or to a bound that it never passes.
"""

from __future__ import annotations

from typing import Protocol


class Stream(Protocol):
    """What arrives piece by piece; an empty piece is its end."""

    async def read(self, n: int = -1) -> bytes: ...


async def read(stream: Stream, most: int) -> bytes:
    """All of the body, at most `most` bytes of it."""
    pieces: list[bytes] = []
    left = most
    while left > 0 and (piece := await stream.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
