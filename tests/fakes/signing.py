"""A certificate service over real TLS and gRPC that signs what it is asked for, and a pod's files that lead to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from varka.base.clock import Clock
from varka.identity import authority, certificate_service, keys
from varka.identity.spiffe import SpiffeId

HOST = "istiod.istio-system.svc"


class SigningFake:
    """Signs for the identity of `spiffe_id`, whoever asks; keeps tokens and asked lifetimes. `refusal` makes it refuse."""

    def __init__(self, clock: Clock) -> None:
        self.authority = authority.self_signed("cluster.local", clock.now())
        self.spiffe_id = "spiffe://cluster.local/ns/shop/sa/web"
        self.lifetime = timedelta(hours=24)
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.chain: list[str] | None = None
        self.tokens: list[str] = []
        self.asked: list[int] = []
        self.port = 0
        self._clock = clock

    async def create(self, request: Any, context: Any) -> Any:
        """Istio's `CreateCertificate`."""
        self.tokens.append(str(dict(context.invocation_metadata()).get("authorization")))
        self.asked.append(request.validity_duration)
        if self.refusal is not None:
            await context.abort(*self.refusal)
        chain = self.chain
        if chain is None:
            chain = self.authority.sign_workload(request.csr.encode(), SpiffeId(self.spiffe_id), self.lifetime, self._clock.now())
        return certificate_service.IstioCertificateResponse(cert_chain=chain)


@asynccontextmanager
async def signing(clock: Clock, host: str = HOST) -> AsyncIterator[SigningFake]:
    """One on a free port of loopback, with a serving certificate for `host`."""
    fake = SigningFake(clock)
    key = keys.generate()
    chain = "".join(fake.authority.sign_server(key, [host], timedelta(days=1), clock.now())).encode()
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        fake.create,
        request_deserializer=certificate_service.IstioCertificateRequest.FromString,
        response_serializer=certificate_service.IstioCertificateResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(certificate_service.SERVICE, {"CreateCertificate": method}),))
    fake.port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(keys.to_pem(key), chain)]))
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(grace=0)


def pod_files(root: Path, roots: bytes) -> None:
    """What a pod's volumes show its proxy: token, root certificate and resolv.conf."""
    for name, content in {
        "var/run/secrets/tokens/istio-token": b"the token\n",
        "var/run/secrets/istio/root-cert.pem": roots,
        "etc/resolv.conf": b"nameserver 127.0.0.1\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
        "etc/istio/pod/labels": b'app="web"\nversion="v1"\n',
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
