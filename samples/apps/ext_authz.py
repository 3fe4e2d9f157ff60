"""An external authorizer for learning: it allows requests with the header `x-ext-authz: allow`, over HTTP and over gRPC.

It also sets `x-ext-authz-additional-header-override` and tells in `x-ext-authz-check-result` what it decided, so that
one sees which headers a proxy passes on.
"""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2
from envoy.type.v3 import http_status_pb2
from google.rpc import status_pb2

ASKED, ALLOW = "x-ext-authz", "allow"
RESULT, RECEIVED, OVERRIDDEN = "x-ext-authz-check-result", "x-ext-authz-check-received", "x-ext-authz-additional-header-override"
REFUSAL = f"denied by ext_authz: the request has no header `{ASKED}: {ALLOW}`"
HTTP_PORT, GRPC_PORT = 8000, 9000
CHECK = "/envoy.service.auth.v3.Authorization/Check"
OK, PERMISSION_DENIED = 0, 7


class Exchange(BaseHTTPRequestHandler):
    """One connection of a proxy that asks over HTTP: method, path and body are the request's own."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """200 or 403."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        allowed = self.headers.get(ASKED) == ALLOW
        received = f"{self.command} {self.headers.get('host', '')}{self.path}, headers: {dict(self.headers.items())}, body: {body.decode(errors='replace')!r}"
        print(f"[HTTP][{'allowed' if allowed else 'denied'}]: {received}", flush=True)
        text = b"" if allowed else REFUSAL.encode()
        self.send_response(200 if allowed else 403)
        self.send_header(RESULT, "allowed" if allowed else "denied")
        self.send_header(RECEIVED, received.replace("\r", " ").replace("\n", " "))
        self.send_header(OVERRIDDEN, self.headers.get(OVERRIDDEN) or "")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = answer

    def log_message(self, *_: object) -> None:
        """Nothing: `answer` says more."""


class Authorization(grpc.GenericRpcHandler):
    """Envoy's authorization service."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Its only method."""
        if details.method != CHECK:
            return None
        message = external_auth_pb2
        return grpc.unary_unary_rpc_method_handler(self.check, message.CheckRequest.FromString, message.CheckResponse.SerializeToString)

    def check(self, request: Any, _context: grpc.ServicerContext) -> Any:
        """Allowed requests get headers for the application, others a body and headers for the client."""
        attributes = request.attributes.request.http
        allowed = attributes.headers.get(ASKED) == ALLOW or request.attributes.source.principal.endswith("/sa/allowed")
        print(f"[gRPC][{'allowed' if allowed else 'denied'}]: {attributes.method} {attributes.host}{attributes.path}", flush=True)
        headers = [
            option(RESULT, "allowed" if allowed else "denied"),
            option(RECEIVED, f"{attributes.method} {attributes.host}{attributes.path}"),
            option(OVERRIDDEN, "grpc-additional-header-override-value"),
        ]
        message = external_auth_pb2
        if allowed:
            return message.CheckResponse(status=status_pb2.Status(code=OK), ok_response=message.OkHttpResponse(headers=headers))
        denied = message.DeniedHttpResponse(status=http_status_pb2.HttpStatus(code=403), body=REFUSAL, headers=headers)
        return message.CheckResponse(status=status_pb2.Status(code=PERMISSION_DENIED), denied_response=denied)


def option(name: str, value: str) -> Any:
    """A header to set."""
    return base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, value=value))


def main() -> None:
    """Serve until SIGTERM."""
    server = grpc.server(ThreadPoolExecutor(8), handlers=[Authorization()])
    server.add_insecure_port(f"0.0.0.0:{GRPC_PORT}")
    server.start()
    web = ThreadingHTTPServer(("0.0.0.0", HTTP_PORT), Exchange)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=web.shutdown).start())
    print(f"serving HTTP on {HTTP_PORT} and gRPC on {GRPC_PORT}", flush=True)
    web.serve_forever(poll_interval=0.1)
    server.stop(0.2)


if __name__ == "__main__":
    main()
