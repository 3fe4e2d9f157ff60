"""The HTTPS calls to webhooks: where they are, whom to trust, connections kept open, and what to say when it fails."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import socket
import ssl
import urllib.parse
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from varka.base import bodies
from varka.client.api import Api, Object
from varka.cluster.apiserver import services
from varka.cluster.apiserver.admission.webhook_rules import Webhook

MAX_ANSWER = 8 << 20
KEEP_ALIVE = 60.0


class CallFailed(Exception):
    """The webhook could not be asked, or its answer is none; the text is what Kubernetes says after the webhook's name."""


class _ServiceResolver(AbstractResolver):
    """Turns `<service>.<namespace>.svc` into one ready endpoint; other names are left to the system."""

    def __init__(self, api: Callable[[], Api]) -> None:
        self._api = api
        self._system = aiohttp.ThreadedResolver()
        self.chosen: dict[str, str] = {}
        """For each Service's name the endpoint that was tried last, for messages."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        parts = host.split(".")
        if len(parts) != 3 or parts[2] != "svc":
            return await self._system.resolve(host, port, family)
        address, number = await services.endpoint_of(self._api(), parts[1], parts[0], port)
        self.chosen[host] = f"{address}:{number}"
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=number, family=kind, proto=0, flags=socket.AI_NUMERICHOST)]

    async def close(self) -> None:
        await self._system.close()


class WebhookClient:
    """Posts reviews; one pool of connections for all webhooks, one TLS context for each CA bundle."""

    def __init__(self, api: Callable[[], Api]) -> None:
        self._api = api
        self._resolver: _ServiceResolver | None = None
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Close the kept connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, webhook: Webhook, review: Object) -> Object:
        """The webhook's answer, parsed; CallFailed when there is none."""
        config = webhook.spec.get("clientConfig") or {}
        url = f"{url_of(config)}?timeout={webhook.timeout}s"
        body = json.dumps(review, separators=(",", ":")).encode()
        try:
            context = self._context(config.get("caBundle") or "")
        except (ValueError, ssl.SSLError) as error:
            raise CallFailed(f"failed to get rest client: unable to load root certificates: {error}") from error
        try:
            async with asyncio.timeout(webhook.timeout):
                status, answer = await self._exchange(url, context, body)
        except (aiohttp.ClientError, services.Unreachable, OSError, TimeoutError) as error:
            raise CallFailed(f'failed to call webhook: Post "{url}": {failure_text(error, self._tried(url))}') from error
        if status < 200 or status > 206:
            raise CallFailed(f"failed to call webhook: {_refusal(status, answer)}")
        try:
            parsed = json.loads(answer)
        except ValueError as error:
            raise CallFailed(f"couldn't get version/kind; json parse error: {error}") from error
        if not isinstance(parsed, dict):
            raise CallFailed("couldn't get version/kind; the answer is no JSON object")
        return parsed

    def _tried(self, url: str) -> str:
        return self._resolver.chosen.get(urllib.parse.urlsplit(url).hostname or "", "") if self._resolver is not None else ""

    async def _exchange(self, url: str, context: ssl.SSLContext, body: bytes) -> tuple[int, bytes]:
        session = self._open()
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
        for last in (False, True):
            try:
                async with session.post(url, data=body, ssl=context, headers=headers, allow_redirects=False) as answer:
                    return answer.status, await bodies.read(answer.content, MAX_ANSWER)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # a kept connection may have been closed by the other side just now; a new one tells the truth
                if last or isinstance(error, aiohttp.ClientConnectorError):
                    raise
        raise AssertionError("unreachable")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._resolver = _ServiceResolver(self._api)
            connector = aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, keepalive_timeout=KEEP_ALIVE, limit=64)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        return self._session

    def _context(self, bundle: str) -> ssl.SSLContext:
        found = self._contexts.get(bundle)
        if found is None:
            if len(self._contexts) > 64:
                self._contexts.clear()
            found = ssl.create_default_context(cadata=base64.b64decode(bundle).decode() if bundle else None)
            self._contexts[bundle] = found
        return found


def url_of(config: Object) -> str:
    """The URL of a `clientConfig`, without query."""
    service = config.get("service")
    if service is None:
        return str(config.get("url", "")).partition("?")[0]
    path = urllib.parse.quote(service.get("path") or "/")
    return f"https://{service['name']}.{service['namespace']}.svc:{service.get('port') or 443}{path if path.startswith('/') else '/' + path}"


def failure_text(error: BaseException, tried: str = "") -> str:
    """Why a call failed, in the words of Go's client; `tried` is the address that was connected to, if it is known."""
    if isinstance(error, services.Unreachable):
        return error.message
    if isinstance(error, TimeoutError):
        return "context deadline exceeded"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: x509: {_certificate_text(error)}"
    if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return f"remote error: tls: {error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause: Any = error.os_error
        if isinstance(cause, services.Unreachable):
            return cause.message
        what = {errno.ECONNREFUSED: "connection refused", errno.EHOSTUNREACH: "no route to host", errno.ENETUNREACH: "network is unreachable"}
        address = tried or f"{error.host}:{error.port}"
        return f"dial tcp {address}: connect: {what.get(cause.errno, str(cause))}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(error)


def _certificate_text(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", error)
    text = str(getattr(cause, "verify_message", "") or cause)
    if "self-signed" in text or "unable to get local issuer" in text:
        return "certificate signed by unknown authority"
    if "expired" in text:
        return "certificate has expired or is not yet valid"
    return text


def _refusal(status: int, answer: bytes) -> str:
    try:
        message = json.loads(answer).get("message", "")
    except (ValueError, AttributeError):
        message = ""
    return (
        str(message)
        or f"an error on the server ({json.dumps(answer[:512].decode(errors='replace').strip())}) has prevented the request from succeeding ({status})"
    )
