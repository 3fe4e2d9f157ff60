from __future__ import annotations

import pytest

from varka.base.errors import VarkaError
from varka.cli.istioctl import session


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", (200, b"hi")),
        (b"HTTP/1.1 404 Not Found\r\n\r\nno", (404, b"no")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", (200, b"hi")),
    ],
)
def test_response(received: bytes, answer: tuple[int, bytes]) -> None:
    """Status and body, however the body is framed."""
    assert session.response_of(received) == answer


@pytest.mark.parametrize(
    "received", [b"", b"nonsense", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi"]
)
def test_half_a_response(received: bytes) -> None:
    """A connection that broke off is an error that says so."""
    with pytest.raises(VarkaError, match="no whole HTTP response"):
        session.response_of(received)
