"""Secret discovery for one Envoy over one UNIX socket: `default` (certificate and key), `ROOTCA` (trust), and files of the pod.

`file-cert:CHAIN~KEY` and `file-root:PATH` are files that the proxy sees; they are served again when they change.
`file-root:system` are the authorities of the operating system.
The socket lies in a volume of the pod that only its proxy mounts, so whoever reaches it is that proxy.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from varka.agent import rootfs
from varka.agent.issuance import Certificate

log = logging.getLogger("varka.agent.sds")

SECRET_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"
MAX_STREAMS = 256
FILE_CHECK_SECONDS = 1.0
SYSTEM_AUTHORITIES = ("etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem")


class SecretServer:
    """Serves the newest certificate to every stream, and again whenever it is replaced."""

    def __init__(self, socket_path: Path, root: Path) -> None:
        self._path = socket_path
        self._root = root
        self._certificate: Certificate | None = None
        self._trust = b""
        self._version = 0
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None
        self._seen: dict[str, tuple[int, ...]] = {}
        """Files that were asked for → what they looked like when they were last read."""
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; a socket that an earlier agent left is replaced."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._server = grpc.aio.server(maximum_concurrent_rpcs=MAX_STREAMS)
        stream = grpc.stream_stream_rpc_method_handler(
            self._stream, request_deserializer=discovery_pb2.DiscoveryRequest.FromString, response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"StreamSecrets": stream}),))
        self._server.add_insecure_port(f"unix:{self._path}")
        await self._server.start()
        os.chmod(self._path, 0o600)
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End every stream and remove the socket."""
        if self._watching is not None:
            self._watching.cancel()
        if self._server is not None:
            await self._server.stop(grace=0)
        self._path.unlink(missing_ok=True)

    async def publish(self, certificate: Certificate, trust: bytes) -> None:
        """Serve this certificate, and `trust` (PEM) as the roots to believe."""
        async with self._changed:
            self._certificate, self._trust = certificate, trust
            self._version += 1
            self._changed.notify_all()

    async def _watch(self) -> None:
        """Serve everything again when a file that was asked for is another one, or is there at last."""
        while True:
            await asyncio.sleep(FILE_CHECK_SECONDS)
            if any(self._look(path) != seen for path, seen in self._seen.items()):
                async with self._changed:
                    self._version += 1
                    self._changed.notify_all()

    def _look(self, path: str) -> tuple[int, ...]:
        try:
            found = rootfs.inside(self._root, path).stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns

    async def _stream(self, requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        names: list[str] = []
        asked = asyncio.Event()
        sent = -1
        reader = asyncio.create_task(self._read(requests, names, asked))
        try:
            while not reader.done():
                if names and (asked.is_set() or sent != self._version) and self._certificate is not None:
                    asked.clear()
                    sent = self._version
                    yield self._response(names)
                    continue
                await self._wait(reader, asked, sent, subscribed=bool(names))
        finally:
            reader.cancel()

    async def _read(self, requests: AsyncIterator[Any], names: list[str], asked: asyncio.Event) -> None:
        async for request in requests:
            if request.HasField("error_detail"):
                log.warning("Envoy refused the secrets %s: %s", ", ".join(request.resource_names), request.error_detail.message)
                continue
            if list(request.resource_names) != names:
                names[:] = request.resource_names
                asked.set()

    async def _wait(self, reader: asyncio.Task[None], asked: asyncio.Event, sent: int, *, subscribed: bool) -> None:
        """Until there is something to send or the stream ends; a request that cannot be answered yet stays asked."""
        event = self._wait_newer(sent) if subscribed else asked.wait()
        changed = asyncio.create_task(event)
        wanted = asyncio.create_task(asked.wait()) if subscribed and not asked.is_set() else changed
        try:
            await asyncio.wait({changed, wanted, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            wanted.cancel()

    async def _wait_newer(self, sent: int) -> bool:
        async with self._changed:
            return await self._changed.wait_for(lambda: self._certificate is not None and self._version != sent)

    def _response(self, names: list[str]) -> Any:
        secrets = [secret for secret in (self._secret(name) for name in names) if secret is not None]
        resources = [any_pb2.Any(type_url=SECRET_TYPE, value=secret.SerializeToString(deterministic=True)) for secret in secrets]
        version = str(self._version)
        return discovery_pb2.DiscoveryResponse(version_info=version, nonce=version, type_url=SECRET_TYPE, resources=resources)

    def _secret(self, name: str) -> Any:
        certificate = self._certificate
        if certificate is None:
            return None
        if name == "default":
            return _pair(name, certificate.chain_pem, certificate.key_pem)
        if name == "ROOTCA":
            return _trust(name, self._trust)
        try:
            if name.startswith("file-cert:"):
                chain, _, key = name.removeprefix("file-cert:").partition("~")
                return _pair(name, self._file(chain), self._file(key))
            if name.startswith("file-root:"):
                path = name.removeprefix("file-root:")
                return _trust(name, self._system() if path == "system" else self._file(path))
        except OSError as error:
            log.warning("secret %s cannot be read: %s; mount the file into the container istio-proxy", name, error)
            return None
        log.warning("Envoy asks for the secret %s, which is served by istiod", name)
        return None

    def _system(self) -> bytes:
        for path in SYSTEM_AUTHORITIES:
            if self._look(path):
                return self._file(path)
        raise FileNotFoundError(f"none of {', '.join(SYSTEM_AUTHORITIES)}")

    def _file(self, path: str) -> bytes:
        self._seen[path] = self._look(path)
        return rootfs.inside(self._root, path).read_bytes()


def _pair(name: str, chain: bytes, key: bytes) -> Any:
    secret = secret_pb2.Secret(name=name)
    secret.tls_certificate.certificate_chain.inline_bytes = chain
    secret.tls_certificate.private_key.inline_bytes = key
    return secret


def _trust(name: str, roots: bytes) -> Any:
    secret = secret_pb2.Secret(name=name)
    secret.validation_context.trusted_ca.inline_bytes = roots
    return secret
