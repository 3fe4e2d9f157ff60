"""One gRPC health check, as a probe makes it (the protocol `grpc.health.v1`).

The two messages are a string and a number, so they are written and read by hand; `grpc` is imported only when a pod has such
a probe.
"""

from __future__ import annotations

_METHOD = "/grpc.health.v1.Health/Check"
_STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


async def check(host: str, port: int, service: str, seconds: float) -> tuple[bool, str]:
    """Whether the service says that it serves, and if not, what kubelet would say of it."""
    import grpc

    async with grpc.aio.insecure_channel(f"{host}:{port}", options=[("grpc.primary_user_agent", "kube-probe/1.34")]) as channel:
        call = channel.unary_unary(_METHOD, request_serializer=request, response_deserializer=status)
        try:
            found = _STATUS.get(await call(service, timeout=seconds), "UNKNOWN")
        except grpc.aio.AioRpcError as error:
            return _failure(error.code().name, error.details() or "", host, port, seconds)
    return found == "SERVING", "" if found == "SERVING" else f"service unhealthy (responded with {found!r})".replace("'", '"')


def _failure(code: str, details: str, host: str, port: int, seconds: float) -> tuple[bool, str]:
    if code == "UNIMPLEMENTED":
        return False, f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {details}"
    if code == "DEADLINE_EXCEEDED":
        return False, f"timeout: health rpc did not complete within {seconds:g}s"
    if code == "UNAVAILABLE":
        return False, f"timeout: failed to connect service {host}:{port} within {seconds:g}s: {details}"
    return False, f"error: health rpc probe failed: {details}"


def request(service: str) -> bytes:
    """HealthCheckRequest: field 1, the service's name."""
    name = service.encode()
    return b"\x0a" + bytes([len(name)]) + name if name else b""


def status(answer: bytes) -> int:
    """HealthCheckResponse: field 1, a small number; left out when it is 0."""
    return answer[1] if len(answer) >= 2 and answer[0] == 0x08 else 0
