from __future__ import annotations

import pytest

from varka.base import bodies


class Pieces:
    """Gives what was sent in the pieces it was sent in."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    async def read(self, n: int = -1) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if len(piece) > n:
            self._pieces.insert(0, piece[n:])
        return piece[:n]


@pytest.mark.parametrize(("most", "read"), [(100, b"onetwothree"), (11, b"onetwothree"), (7, b"onetwot"), (0, b"")])
async def test_a_body_in_pieces_is_read_to_its_end_or_the_bound(most: int, read: bytes) -> None:
    """Not only its first piece."""
    assert await bodies.read(Pieces(b"one", b"two", b"three"), most) == read
