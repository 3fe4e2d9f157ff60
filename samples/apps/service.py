"""What the sample services share: a small HTTP/1.1 server with routes, and calls to the next service.

Standard library only, so that a service starts in a few hundredths of a second. Headers that belong to one trace or
one user travel with every call to the next service: Envoy cannot know which outgoing request an incoming one caused.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

FORWARDED = (
    "x-request-id",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "traceparent",
    "tracestate",
    "sw8",
    "user-agent",
    "cookie",
    "authorization",
    "end-user",
)
MAX_BODY = 1 << 20


class Request(NamedTuple):
    """One request: path parameters by name, query and form fields by name, headers by lower-case name."""

    parameters: Mapping[str, str]
    fields: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    method: str = "GET"
    target: str = "/"
    peer: str = ""

    @property
    def forwarded(self) -> dict[str, str]:
        return {name: self.headers[name] for name in FORWARDED if name in self.headers}


class Response(NamedTuple):
    """One answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


Handler = Callable[[Request], Response]


class Route(NamedTuple):
    method: str
    pattern: re.Pattern[str]
    handler: Handler


def as_json(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps(value).encode())


def route(method: str, path: str, handler: Handler) -> Route:
    """A route; `{name}` in `path` stands for one path segment."""
    return Route(method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "/?"), handler)


def call(hostname: str, port: int, path: str, headers: Mapping[str, str], seconds: float) -> tuple[int, Any]:
    """GET a JSON document from another service: (status, document); status 0 when it cannot be reached."""
    connection = http.client.HTTPConnection(hostname, port, timeout=seconds)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"GET http://{hostname}:{port}{path} failed: {error}", file=sys.stderr, flush=True)
        return 0, None
    finally:
        connection.close()


def serve(routes: list[Route], default_port: int = 9080) -> None:
    """Answer requests until SIGTERM; the port is the first argument, or 9080."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else default_port

    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "Bookinfo"
        wbufsize = 1 << 16

        def answer(self) -> None:
            split = urlsplit(self.path)
            allowed = [each.method for each in routes if each.pattern.fullmatch(split.path)]
            method = "GET" if self.command == "HEAD" else self.command
            for each in routes:
                found = each.pattern.fullmatch(split.path)
                if found and each.method == method:
                    self.reply(each.handler(self.request_of(found.groupdict(), split.query)))
                    return
            self.read_body()
            self.reply(as_json({"error": "method not allowed" if allowed else "not found"}, 405 if allowed else 404))

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = answer

        def request_of(self, parameters: dict[str, str], query: str) -> Request:
            body = self.read_body()
            fields = query
            if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
                fields += "&" + body.decode(errors="replace")
            named = {name: values[-1] for name, values in parse_qs(fields).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Request(parameters, named, headers, body, self.command, self.path, self.client_address[0])

        def read_body(self) -> bytes:
            length = self.headers.get("content-length", "0")
            return self.rfile.read(min(int(length), MAX_BODY)) if length.isdigit() else b""

        def reply(self, response: Response) -> None:
            self.send_response(response.status)
            self.send_header("content-type", response.content_type)
            self.send_header("content-length", str(len(response.body)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        def log_message(self, format: str, *arguments: Any) -> None:
            if not self.path.startswith("/health"):
                print(f"{self.client_address[0]} {format % arguments}", flush=True)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128
        address_family = socket.AF_INET

    server = Server(("0.0.0.0", port), Exchange)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on port {port}, version {os.environ.get('SERVICE_VERSION', 'v1')}", flush=True)
    server.serve_forever(poll_interval=0.1)
