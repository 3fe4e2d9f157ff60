"""A real HTTPS server for admission reviews, and the objects by which an API server finds it."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from varka.client.api import Object

Answer = Callable[[Object], Object]


class WebhookServer:
    """Answers reviews by `answer`, which gives the response without its uid; keeps the requests and counts connections."""

    def __init__(self, ca_bundle: str) -> None:
        self.ca_bundle = ca_bundle
        self.port = 0
        self.answer: Answer = lambda request: {"allowed": True}
        self.requests: list[Object] = []
        self.connections: set[Any] = set()
        self.raw: web.Response | None = None
        self.delay = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one POST."""
        self.connections.add(request.transport)
        review = await request.json()
        self.requests.append({**review["request"], "_path": request.path_qs, "_host": request.host})
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.raw is not None:
            return self.raw
        response = {"uid": review["request"]["uid"], **self.answer(review["request"])}
        return web.json_response({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})


def patch(*operations: Object) -> Object:
    """A response that allows with a JSON patch."""
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}


def certificate(folder: Path, dns: str) -> str:
    """Write a self-signed certificate for `dns` (`tls.crt`, `tls.key`); gives it in base64, as a caBundle."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "tls.crt").write_bytes(pem)
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return base64.b64encode(pem).decode()


@asynccontextmanager
async def serving(folder: Path, dns: str) -> AsyncIterator[WebhookServer]:
    """The server, on a free port of 127.0.0.1, for as long as the context lasts."""
    made = WebhookServer(certificate(folder, dns))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    app = web.Application()
    app.router.add_post("/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0, ssl=context)
        made.port = server.sockets[0].getsockname()[1]
        yield made
        server.close()
    finally:
        await runner.cleanup()
