"""Signs workload certificates: `istio.v1.auth.IstioCertificateService`.

The name in the certificate is that of the service account that the caller's token proves. Whatever names the signing
request asks for are ignored.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.message import DecodeError

from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.client.api import Api
from varka.control import metrics
from varka.control.certificates import tokens
from varka.control.certificates.authority import AuthorityKeeper
from varka.control.certificates.tokens import Caller
from varka.identity import certificate_service, certificates
from varka.identity.spiffe import WorkloadIdentity
from varka.rpc.messages import CallError, Code
from varka.rpc.server import Call, Handler

log = logging.getLogger("varka.control.ca")

REMEMBERED_PODS = 20_000
MAX_REQUEST = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Seconds: what a proxy gets that does not ask, and what it gets at most."""

    default: float
    maximum: float

    def granted(self, asked: float) -> timedelta:
        """The lifetime for a proxy that asked for `asked` seconds (0: did not say)."""
        return timedelta(seconds=min(asked, self.maximum) if asked > 0 else min(self.default, self.maximum))


Rotated = Callable[[Caller, str], None]
"""Told of every certificate that replaces one: who, and the new serial number."""


class CertificateService:
    """The gRPC service. `lifetimes` and `trust_domain` are read at every request, since the mesh's settings may change."""

    def __init__(
        self, api: Api, keeper: AuthorityKeeper, lifetimes: Callable[[], Lifetimes], trust_domain: Callable[[], str], clock: Clock, rotated: Rotated
    ) -> None:
        self._api = api
        self._keeper = keeper
        self._lifetimes = lifetimes
        self._trust_domain = trust_domain
        self._clock = clock
        self._rotated = rotated
        self._served: OrderedDict[str, None] = OrderedDict()

    def handlers(self) -> dict[str, Handler]:
        """To be given to an RPC server."""
        return {f"/{certificate_service.SERVICE}/CreateCertificate": self._create}

    async def _create(self, call: Call) -> None:
        data = await call.read()
        try:
            request = certificate_service.IstioCertificateRequest.FromString(data or b"")
        except DecodeError as error:
            raise CallError(Code.INVALID_ARGUMENT, "the request is no IstioCertificateRequest") from error
        chain = await self._answer(request, bearer(call.metadata))
        await call.write(certificate_service.IstioCertificateResponse(cert_chain=chain).SerializeToString())

    async def _answer(self, request: Any, token: str) -> list[str]:
        metrics.CSR_COUNT.inc()
        try:
            caller = await tokens.review(self._api, token)
        except tokens.RejectedError as error:
            metrics.AUTHENTICATION_FAILURES.inc()
            log.warning("signing request refused: %s", error)
            raise CallError(Code.UNAUTHENTICATED, str(error)) from error
        except (VarkaError, TimeoutError) as error:
            log.warning("a token could not be checked: %s", error)
            raise CallError(Code.UNAVAILABLE, f"the token could not be checked: {error}") from error
        try:
            return self.sign(caller, request.csr.encode(), float(request.validity_duration))
        except VarkaError as error:
            metrics.CSR_ERRORS.inc()
            log.warning("signing request of %s/%s refused: %s", caller.namespace, caller.service_account, error)
            raise CallError(Code.INVALID_ARGUMENT, str(error)) from error

    def sign(self, caller: Caller, request_pem: bytes, asked: float) -> list[str]:
        """The chain for a caller whose token has been checked."""
        if len(request_pem) > MAX_REQUEST:
            raise VarkaError("the certificate signing request is too long", f"it may have {MAX_REQUEST} bytes")
        identity = WorkloadIdentity(trust_domain=self._trust_domain(), namespace=caller.namespace, service_account=caller.service_account)
        chain = self._keeper.authority.sign_workload(request_pem, identity.uri, self._lifetimes().granted(asked), self._clock.now())
        metrics.ISSUED.inc()
        facts = certificates.facts(chain[0].encode())
        log.info("signed %s for %s (pod %s) until %s", facts.serial, identity.uri, caller.pod or "unknown", facts.not_after.isoformat())
        if caller.pod_uid:
            if caller.pod_uid in self._served:
                self._rotated(caller, facts.serial)
            self._served[caller.pod_uid] = None
            self._served.move_to_end(caller.pod_uid)
            if len(self._served) > REMEMBERED_PODS:
                self._served.popitem(last=False)
        return chain


def bearer(metadata: Any) -> str:
    """The bearer token among a call's metadata."""
    for key, value in metadata or ():
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if key.lower() == "authorization" and text.lower().startswith("bearer "):
            return text[7:].strip()
    return ""
