"""An issuer of tokens for learning: it serves the key set that its tokens are checked with, and gives a token to whoever asks.

Any path but the ones below answers with the key set, `/.well-known/openid-configuration` says where that is, and
`/token?sub=ann&groups=readers,writers` is a token for an hour whose claims are the query; `iss` is
`testing@secret.istio.io` unless it is given. The key is made anew at every start.
"""

from __future__ import annotations

import argparse
import base64
import json
import signal
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ISSUER = "testing@secret.istio.io"
LIFETIME = 3600
KEY = rsa.generate_private_key(65537, 2048)


def encoded(data: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def number(value: int) -> str:
    """A number as key sets have it."""
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def key_set() -> dict[str, object]:
    """The public half of the key."""
    public = KEY.public_key().public_numbers()
    return {"keys": [{"kty": "RSA", "kid": "sample", "alg": "RS256", "use": "sig", "e": number(public.e), "n": number(public.n)}]}


def token(claims: dict[str, object]) -> str:
    """A signed token."""
    now = int(time.time())
    body = {"iss": ISSUER, "iat": now, "exp": now + LIFETIME, **claims}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "sample", "typ": "JWT"}, body))
    return f"{signed}.{encoded(KEY.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def asked_claims(query: str) -> dict[str, object]:
    """Claims out of a query: values with commas are lists, and `org.unit` is the claim `unit` inside the claim `org`."""
    found: dict[str, object] = {}
    for name, value in parse_qsl(query):
        *outer, last = name.split(".")
        place = found
        for key in outer:
            inner = place.setdefault(key, {})
            place = inner if isinstance(inner, dict) else {}
        place[last] = value.split(",") if "," in value else value
    return found


class Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Key set, discovery or token."""
        split = urlsplit(self.path)
        if split.path == "/token":
            body = token(asked_claims(split.query)) + "\n"
        elif split.path == "/.well-known/openid-configuration":
            scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
            base = f"{scheme}://{self.headers.get('host', 'localhost')}"
            body = json.dumps({"issuer": base, "jwks_uri": f"{base}/jwks"})
        else:
            body = json.dumps(key_set())
        self.send_response(200)
        self.send_header("content-type", "text/plain" if split.path == "/token" else "application/json")
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


def main() -> None:
    """Serve HTTP, and HTTPS if there is a certificate, until SIGTERM. Flags have one dash, as the original program's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "", allow_abbrev=False)
    parser.add_argument("-http", type=int, default=8000, help="port of HTTP")
    parser.add_argument("-https", type=int, default=8443, help="port of HTTPS")
    parser.add_argument("-cert", default="", help="certificate chain in PEM")
    parser.add_argument("-key", default="", help="private key in PEM")
    given = parser.parse_args()
    servers = [ThreadingHTTPServer(("0.0.0.0", given.http), Exchange)]
    if given.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(given.cert, given.key)
        servers.append(ThreadingHTTPServer(("0.0.0.0", given.https), Exchange))
        servers[1].socket = context.wrap_socket(servers[1].socket, server_side=True)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"serving on {', '.join(str(server.server_address[1]) for server in servers)}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()


if __name__ == "__main__":
    main()
