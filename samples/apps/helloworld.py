"""helloworld: one line that tells which version and which pod answered."""

from __future__ import annotations

import os
import socket

import service


def hello(request: service.Request) -> service.Response:
    """`GET /hello`."""
    version = os.environ.get("SERVICE_VERSION", "v1")
    return service.Response(200, f"Hello version: {version}, instance: {socket.gethostname()}\n".encode(), "text/html; charset=utf-8")


def health(request: service.Request) -> service.Response:
    """`GET /health`."""
    return service.Response(200, b"Helloworld is healthy", "text/plain")


if __name__ == "__main__":
    service.serve([service.route("GET", "/hello", hello), service.route("GET", "/health", health)], default_port=5000)
