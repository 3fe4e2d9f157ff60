"""TLS in front of the gRPC server.

Port 15012 serves proxies that present a certificate (discovery) and proxies that do not have one yet (signing
requests). Python's gRPC can demand client certificates or ignore them, but not take them when they come. So TLS ends
here: each connection is passed on to the gRPC server's loopback port, and who it belongs to is remembered by the
source port of that inner connection. Inner connections from anybody else are unknown and get no identity.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from contextlib import suppress

log = logging.getLogger("varka.control.tls")

HANDSHAKE_SECONDS = 10.0
CHUNK = 1 << 18
SPIFFE = "spiffe://"


class ServingCertificate:
    """A TLS context whose certificate and trust can be replaced while it serves."""

    def __init__(self, *, alpn: tuple[str, ...] = (), client_certificates: bool = False) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if client_certificates:
            context.verify_mode = ssl.CERT_OPTIONAL
        self.context = context

    def use(self, chain_pem: bytes, key_pem: bytes, root_pem: bytes) -> None:
        """Serve this from the next connection on, and trust this root besides earlier ones; ssl.SSLError when it does not fit together."""
        handle = os.memfd_create("serving")
        try:
            os.write(handle, chain_pem + b"\n" + key_pem)
            os.lseek(handle, 0, os.SEEK_SET)
            self.context.load_cert_chain(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
        if self.context.verify_mode != ssl.CERT_NONE:
            self.context.load_verify_locations(cadata=root_pem.decode())


class TlsFront:
    """Accepts TLS, remembers the caller's SPIFFE ID, and relays to `backend_port` on loopback."""

    def __init__(self, certificate: ServingCertificate, backend_port: int) -> None:
        self._certificate = certificate
        self._backend_port = backend_port
        self._identities: dict[int, str] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. The certificate must have been set."""
        self._server = await asyncio.start_server(
            self._serve, host, port, ssl=self._certificate.context, ssl_handshake_timeout=HANDSHAKE_SECONDS, limit=CHUNK, backlog=1024
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def identify(self, peer: str) -> str:
        """The SPIFFE ID behind a gRPC peer address (`ipv4:127.0.0.1:40000`), empty when there is no certificate."""
        port = peer.rpartition(":")[2]
        return self._identities.get(int(port), "") if port.isdigit() else ""

    def knows(self, peer: str) -> bool:
        """The call came through this front at all."""
        port = peer.rpartition(":")[2]
        return port.isdigit() and int(port) in self._identities

    @property
    def connections(self) -> int:
        return len(self._identities)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
        inner: asyncio.StreamWriter | None = None
        port = 0
        try:
            identity = spiffe_id(writer.get_extra_info("peercert"))
            inner_reader, inner = await asyncio.open_connection("127.0.0.1", self._backend_port, limit=CHUNK)
            port = inner.get_extra_info("sockname")[1]
            self._identities[port] = identity
            await self._relay((reader, inner), (inner_reader, writer))
        except (OSError, asyncio.CancelledError) as error:
            log.debug("connection ended: %r", error)
        finally:
            self._identities.pop(port, None)
            for end in (inner, writer):
                if end is not None:
                    end.transport.abort()
            if task is not None:
                self._connections.discard(task)

    async def _relay(self, *directions: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        tasks = [asyncio.create_task(_copy(source, target)) for source, target in directions]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError, ssl.SSLError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()


def spiffe_id(certificate: object) -> str:
    """The one SPIFFE ID in the dictionary that `getpeercert` gives; empty for none, or for more than one."""
    if not isinstance(certificate, dict):
        return ""
    found = [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "URI" and str(value).startswith(SPIFFE)]
    return found[0] if len(found) == 1 else ""
