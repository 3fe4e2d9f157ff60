"""How a workload comes by its certificate: a key made here, a signing request under the pod's own token, istiod's answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import grpc
import grpc.aio

from varka.agent import rootfs
from varka.agent.dns import names
from varka.agent.proxy_settings import ProxySettings
from varka.base.errors import VarkaError
from varka.identity import certificate_service, certificates, keys, spiffe

CALL_SECONDS = 10.0
TOKEN = "var/run/secrets/tokens/istio-token"
ROOT_CERTIFICATE = "var/run/secrets/istio/root-cert.pem"
RESOLV_CONF = "etc/resolv.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A signed chain with its key; the key stays in memory and out of every printed form."""

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    root_pem: bytes
    spiffe_id: str
    serial: str
    not_before: datetime
    not_after: datetime


class Issuer:
    """Asks a pod's control plane for certificates. `root` is the file system that the pod sees, `/` in its own container."""

    def __init__(self, settings: ProxySettings, root: Path) -> None:
        self._settings = settings
        self._root = root

    def root_certificate(self) -> bytes:
        """The mesh's root as the pod's ConfigMap volume has it now."""
        return self._read(ROOT_CERTIFICATE, "the ConfigMap istio-ca-root-cert of the pod's namespace")

    async def issue(self) -> Certificate:
        """A new key and its certificate; VarkaError says what is in the way."""
        settings = self._settings
        key = keys.generate()
        identity = spiffe.WorkloadIdentity(trust_domain=settings.trust_domain, namespace=settings.namespace, service_account=settings.service_account)
        request = certificate_service.IstioCertificateRequest(
            csr=keys.signing_request(key, identity.uri).decode(), validity_duration=int(settings.certificate_lifetime)
        )
        chain = await self._call(request)
        if not chain:
            raise VarkaError("istiod answered a signing request with an empty chain", "look for the reason in the log of istiod")
        found = certificates.facts(chain[0].encode())
        return Certificate(
            chain_pem="".join(_lines(pem) for pem in chain[:-1] or chain).encode(),
            key_pem=keys.to_pem(key),
            root_pem=chain[-1].encode() if len(chain) > 1 else self.root_certificate(),
            spiffe_id=found.spiffe_id,
            serial=found.serial,
            not_before=found.not_before,
            not_after=found.not_after,
        )

    async def _call(self, request: object) -> list[str]:
        host, port = self._settings.discovery
        token = self._read(TOKEN, "the projected token volume istio-token").decode().strip()
        credentials = grpc.ssl_channel_credentials(root_certificates=self.root_certificate())
        address = await names.address(self._settings.discovery_ip or host, names.parse(self._read(RESOLV_CONF, "the pod's own files").decode(errors="replace")))
        options = [("grpc.ssl_target_name_override", host), ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(f"ipv4:{address}:{port}", credentials, options=options) as channel:
            method = channel.unary_unary(
                certificate_service.METHOD,
                request_serializer=certificate_service.IstioCertificateRequest.SerializeToString,
                response_deserializer=certificate_service.IstioCertificateResponse.FromString,
            )
            try:
                answer = await method(request, metadata=(("authorization", f"Bearer {token}"),), timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise VarkaError(
                    f"istiod at {host}:{port} did not sign the certificate of {self._settings.namespace}/{self._settings.pod}: "
                    f"{error.code().name.lower()}: {error.details()}",
                    "check `kubectl get pods -n istio-system` and the log of istiod; the agent keeps trying",
                ) from error
        return list(answer.cert_chain)

    def _read(self, relative: str, what: str) -> bytes:
        try:
            return rootfs.inside(self._root, relative).read_bytes()
        except OSError as error:
            raise VarkaError(f"cannot read /{relative}: {error.strerror}", f"it comes from {what}; the agent keeps trying") from error


def _lines(pem: str) -> str:
    return pem if pem.endswith("\n") else pem + "\n"
