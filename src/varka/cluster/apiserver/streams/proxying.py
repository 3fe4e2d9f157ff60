"""`pods/proxy` and `services/proxy`: plain HTTP through the API server to a pod, or to a ready endpoint of a service.

The name in the path may carry a scheme and a port: `https:web:8443`, `web:http`, `web`.
"""

from __future__ import annotations

import ssl
from typing import NamedTuple

import aiohttp
from aiohttp import web
from yarl import URL

from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.request import Attributes, ServerContext
from varka.cluster.apiserver.services import Unreachable, endpoint_of

HOP_HEADERS = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "host", "authorization")
)
TIMEOUT = 60.0


class Target(NamedTuple):
    """The parts of `[scheme:]name[:port]`."""

    scheme: str
    name: str
    port: str


def parse_name(text: str) -> Target:
    """Split the name of a proxy path; ApiError 400 when it has no sensible form."""
    parts = text.split(":")
    if len(parts) == 1:
        return Target("http", parts[0], "")
    if len(parts) == 2:
        return Target("http", parts[0], parts[1])
    if len(parts) == 3 and parts[0] in ("http", "https", ""):
        return Target(parts[0] or "http", parts[1], parts[2])
    raise errors.bad_request(f'invalid proxy request "{text}"')


async def serve_pod(context: ServerContext, request: web.Request, attributes: Attributes, pod: Object) -> web.StreamResponse:
    """Answer any method on `pods/proxy`."""
    target = parse_name(attributes.name)
    address = (pod.get("status") or {}).get("podIP", "")
    if not address:
        raise errors.bad_request(f'address not allowed: pod "{target.name}" has no address yet')
    return await _forward(request, target.scheme, address, _pod_port(pod, target), address)


def _pod_port(pod: Object, target: Target) -> int:
    """The port of that number or name; without one the first that the pod declares."""
    if target.port.isdigit():
        return int(target.port)
    declared = [port for container in (pod.get("spec") or {}).get("containers") or () for port in container.get("ports") or ()]
    found = [port for port in declared if not target.port or port.get("name") == target.port]
    if target.port and not found:
        raise errors.bad_request(f'pod "{target.name}" has no port "{target.port}"')
    return int(found[0]["containerPort"]) if found else 80


async def serve_service(context: ServerContext, request: web.Request, attributes: Attributes, service: Object) -> web.StreamResponse:
    """Answer any method on `services/proxy`."""
    target = parse_name(attributes.name)
    ports = (service.get("spec") or {}).get("ports") or []
    chosen = next((port for port in ports if target.port in (str(port.get("port")), port.get("name"))), None) if target.port else next(iter(ports), None)
    if chosen is None:
        raise ApiError(503, "ServiceUnavailable", f'no service port "{target.port}" found for service "{target.name}"')
    try:
        address, port = await endpoint_of(context.api, attributes.namespace, target.name, int(chosen["port"]))
    except Unreachable as error:
        raise ApiError(503, "ServiceUnavailable", str(error)) from error
    return await _forward(request, target.scheme, address, port, f"{target.name}.{attributes.namespace}.svc")


async def _forward(request: web.Request, scheme: str, address: str, port: int, host: str) -> web.StreamResponse:
    parts = request.rel_url.raw_path.split("/", 8)
    rest = f"/{parts[8]}" if len(parts) > 8 else "/"
    host_part = f"[{address}]" if ":" in address else address
    url = f"{scheme}://{host_part}:{port}{rest}"
    if request.rel_url.raw_query_string:
        url += f"?{request.rel_url.raw_query_string}"
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_HEADERS}
    headers["Host"] = host
    security: ssl.SSLContext | bool = True
    if scheme == "https":
        security = ssl.create_default_context()
        security.check_hostname = False
        security.verify_mode = ssl.CERT_NONE
    body = request.content if request.body_exists else None
    connector = aiohttp.TCPConnector(ssl=security)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=TIMEOUT)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            async with session.request(request.method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False) as answer:
                kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_HEADERS]
                response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=kept)
                await response.prepare(request)
                async for piece in answer.content.iter_chunked(65536):
                    await response.write(piece)
                await response.write_eof()
                return response
    except (aiohttp.ClientConnectorError, TimeoutError) as error:
        raise ApiError(503, "ServiceUnavailable", f"error trying to reach service: {error}") from error
