from __future__ import annotations

import pytest

from varka.model.discovery import protocols
from varka.model.services import Protocol


@pytest.mark.parametrize(
    ("number", "name", "app", "expected"),
    [
        (80, "http", "", Protocol.HTTP),
        (80, "HTTP-web", "", Protocol.HTTP),
        (80, "grpc-web-x", "", Protocol.GRPC_WEB),
        (80, "grpc-x", "", Protocol.GRPC),
        (80, "web", "", Protocol.AUTO),
        (80, "", "", Protocol.AUTO),
        (3306, "", "", Protocol.TCP),
        (3306, "http", "", Protocol.HTTP),
        (80, "tcp", "http", Protocol.HTTP),
        (80, "x", "kubernetes.io/h2c", Protocol.HTTP2),
        (80, "x", "kubernetes.io/wss", Protocol.HTTPS),
    ],
)
def test_of_port(number: int, name: str, app: str, expected: Protocol) -> None:
    """appProtocol goes before the name's prefix, and a port where the server speaks first is TCP."""
    assert protocols.of_port(number, name, "TCP", app) is expected


def test_udp() -> None:
    """A UDP port is UDP, whatever its name says."""
    assert protocols.of_port(53, "http", "UDP") is Protocol.UDP
