"""The certificate that istiod's ports serve, which changes while they are open."""

from __future__ import annotations

import os
import ssl


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
