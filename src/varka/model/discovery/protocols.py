"""The application protocol of a port, from `appProtocol` or from the prefix of its name."""

from __future__ import annotations

from varka.model.services import Protocol

_NAMES = {
    "tcp": Protocol.TCP,
    "udp": Protocol.UDP,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.GRPC_WEB,
    "http": Protocol.HTTP,
    "http_proxy": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "https": Protocol.HTTPS,
    "tls": Protocol.TLS,
    "mongo": Protocol.MONGO,
    "redis": Protocol.REDIS,
    "mysql": Protocol.MYSQL,
}
_STANDARD = {"kubernetes.io/h2c": Protocol.HTTP2, "kubernetes.io/ws": Protocol.HTTP, "kubernetes.io/wss": Protocol.HTTPS}
_SERVER_SPEAKS_FIRST = {25, 53, 3306, 27017}
"""Sniffing would wait for the client in vain: SMTP, DNS, MySQL, MongoDB."""


def named(text: str) -> Protocol:
    """The protocol that a Gateway or ServiceEntry names; AUTO when it is none that is known."""
    return _NAMES.get(text.lower(), Protocol.AUTO)


def is_known(text: str) -> bool:
    """Whether a protocol's name means anything."""
    return text.lower() in _NAMES


def of_port(number: int, name: str = "", transport: str = "TCP", app_protocol: str = "") -> Protocol:
    """The protocol of a Service's port."""
    if transport == "UDP":
        return Protocol.UDP
    if app_protocol in _STANDARD:
        return _STANDARD[app_protocol]
    text = (app_protocol or name).lower()
    if text.startswith("grpc-web"):
        return Protocol.GRPC_WEB
    found = named(text.partition("-")[0])
    return Protocol.TCP if found is Protocol.AUTO and number in _SERVER_SPEAKS_FIRST else found
