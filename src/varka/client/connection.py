"""Where an API server is and who asks: addresses, trust and credentials, made by `kubeconfig` or by hand."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from varka.base.errors import VarkaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One way to one server.

    `server` is a URL such as `https://127.0.0.1:6443`; with `unix_socket` the connection goes through that path and `server` only names the host.
    Certificates and keys are PEM. `token_file` is read again whenever it changes and comes before `token`.
    """

    server: str
    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    unix_socket: Path | None = None
    server_name: str = ""
    insecure: bool = False


def tls_context(connection: Connection) -> ssl.SSLContext | None:
    """The client side of TLS, or None for plain HTTP; VarkaError when certificate and key do not fit."""
    if not connection.server.startswith("https://"):
        return None
    context = ssl.create_default_context(cadata=connection.ca.decode() if connection.ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if connection.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if connection.certificate:
        try:
            with _unnamed_file(connection.certificate + b"\n" + connection.key) as path:
                context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise VarkaError(f"the client certificate for {connection.server} cannot be used: {error}", "check the user's entry in the kubeconfig") from error
    return context


@contextmanager
def _unnamed_file(content: bytes) -> Iterator[str]:
    """OpenSSL reads keys from files only: one in memory, so that the key never reaches a disk."""
    handle = os.memfd_create("key")
    try:
        os.write(handle, content)
        os.lseek(handle, 0, os.SEEK_SET)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


class Bearer:
    """The bearer token of a connection, as fresh as its file."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._token = connection.token
        self._stamp = (-1, -1)

    def header(self) -> dict[str, str]:
        """The `Authorization` header, empty without a token; a file that cannot be read leaves the last token in use."""
        path = self._connection.token_file
        if path is not None:
            try:
                stat = path.stat()
                stamp = (stat.st_mtime_ns, stat.st_ino)
                if stamp != self._stamp:
                    self._token = path.read_text().strip()
                    self._stamp = stamp
            except OSError:
                pass
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}
