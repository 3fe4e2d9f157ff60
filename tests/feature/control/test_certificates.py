"""Signing requests over real TLS and gRPC, with the API server's answer about tokens in a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.fakes.api import FakeApi

from varka.base.clock import SystemClock
from varka.client import resources
from varka.client.api import ApiError, Gvr, Object
from varka.client.informers import Informer
from varka.control.certificates.authority import CA_SECRET, AuthorityKeeper, RootDistributor
from varka.control.certificates.ca_service import CertificateService, Lifetimes
from varka.control.certificates.serving_certificate import ServingCertificate
from varka.control.reporting.events import Recorder
from varka.control.settings import Settings
from varka.identity import authority, certificate_service, certificates, keys
from varka.rpc.server import Server

HOST = "istiod.istio-system.svc"


class ReviewingApi(FakeApi):
    """Knows tokens of the form `good:<namespace>:<account>:<pod>`."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.down = False

    async def create(self, gvr: Gvr, obj: Object, namespace: str | None = None, *, name: str = "", subresource: str = "", dry_run: bool = False) -> Object:
        if gvr != resources.TOKEN_REVIEWS:
            return await super().create(gvr, obj, namespace, name=name, subresource=subresource, dry_run=dry_run)
        if self.down:
            raise ApiError(503, "ServiceUnavailable", "the API server is away")
        word, _, rest = obj["spec"]["token"].partition(":")
        if word != "good":
            return {**obj, "status": {"authenticated": False, "error": "token has expired"}}
        space, account, pod = rest.split(":")
        extra = {"authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/pod-uid": [f"uid-{pod}"]}
        user = {"username": f"system:serviceaccount:{space}:{account}", "extra": extra}
        return {**obj, "status": {"authenticated": True, "audiences": obj["spec"]["audiences"], "user": user}}


class Signer:
    """A certificate service and one client without certificate."""

    def __init__(self, api: ReviewingApi, keeper: AuthorityKeeper, channel: grpc.aio.Channel) -> None:
        self.api = api
        self.keeper = keeper
        self._method = channel.unary_unary(
            certificate_service.METHOD,
            request_serializer=certificate_service.IstioCertificateRequest.SerializeToString,
            response_deserializer=certificate_service.IstioCertificateResponse.FromString,
        )

    async def sign(self, token: str, seconds: int = 0, csr: str | None = None) -> Any:
        """The answer to one signing request, which asks for a name of its own choice."""
        text = keys.signing_request(keys.generate(), "spiffe://cluster.local/ns/kube-system/sa/admin").decode() if csr is None else csr
        request = certificate_service.IstioCertificateRequest(csr=text, validity_duration=seconds)
        return await self._method(request, metadata=(("authorization", f"Bearer {token}"),) if token else (), timeout=10)


@asynccontextmanager
async def signing(settings: Settings | None = None) -> AsyncIterator[Signer]:
    """A certificate service that serves."""
    settings = settings or Settings()
    api, clock = ReviewingApi(), SystemClock()
    certificate = ServingCertificate(alpn=("h2",), client_certificates=True)
    keeper = AuthorityKeeper(api, settings, clock, lambda _: certificate.use(*keeper.serving_certificate()))
    await keeper.load("cluster.local")
    recorder = Recorder(api, settings, clock)
    service = CertificateService(api, keeper, lambda: Lifetimes(default=3600, maximum=7200), lambda: "cluster.local", clock, recorder.secret_rotated)
    server = Server(service.handlers())
    port = await server.start("127.0.0.1", 0, certificate.context)
    recording = asyncio.create_task(recorder.run())
    credentials = grpc.ssl_channel_credentials(keeper.authority.root_pem)
    options = [("grpc.ssl_target_name_override", HOST), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    try:
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
            yield Signer(api, keeper, channel)
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        await server.stop()


async def test_name_comes_from_the_token() -> None:
    """What the request asks for does not matter."""
    async with signing() as signer:
        answer = await signer.sign("good:default:bookinfo-reviews:reviews-1")
        facts = certificates.facts(answer.cert_chain[0].encode())
        assert facts.spiffe_id == "spiffe://cluster.local/ns/default/sa/bookinfo-reviews"
        assert answer.cert_chain[-1].encode() == signer.keeper.authority.root_pem
        assert not facts.is_authority


@pytest.mark.parametrize(("asked", "granted"), [(0, 3600), (60, 60), (99999, 7200)])
async def test_lifetime_is_bounded(asked: int, granted: int) -> None:
    """The default for who does not ask, the wish of who does, never more than the bound."""
    async with signing() as signer:
        facts = certificates.facts((await signer.sign("good:a:b:c", asked)).cert_chain[0].encode())
        assert abs((facts.not_after - datetime.now(UTC)).total_seconds() - granted) < 30


@pytest.mark.parametrize("token", ["", "bad", "bad:default:x:y"])
async def test_without_a_valid_token_nothing_is_signed(token: str) -> None:
    """The caller is told that it is not authenticated."""
    async with signing() as signer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await signer.sign(token)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_malformed_request_is_refused() -> None:
    """A text that is no signing request is the caller's mistake."""
    async with signing() as signer:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await signer.sign("good:a:b:c", csr="nonsense")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_api_server_away_is_said_to_be_temporary() -> None:
    """A proxy that hears UNAVAILABLE tries again."""
    async with signing() as signer:
        signer.api.down = True
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await signer.sign("good:a:b:c")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_rotation_is_an_event_in_both_namespaces() -> None:
    """Only the second certificate of a pod is a rotation; further ones raise the count."""
    async with signing() as signer:
        for _ in range(3):
            await signer.sign("good:default:web:web-1")
        async with asyncio.timeout(5):
            while sum(event["count"] for event in signer.api.all(resources.EVENTS)) < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        found = {event["metadata"]["namespace"]: event for event in signer.api.all(resources.EVENTS)}
        assert set(found) == {"default", "istio-system"}
        assert {event["reason"] for event in found.values()} == {"SecretRotated"}
        assert found["default"]["involvedObject"]["name"] == "web-1" and found["default"]["count"] == 2


async def test_each_workload_has_a_rotation_event_of_its_own_beside_the_authority() -> None:
    """Two pods' rotations are two events there, each with its count."""
    async with signing() as signer:
        for pod in ("web-1", "web-2", "web-1", "web-2", "web-1"):
            await signer.sign(f"good:default:web:{pod}")
        async with asyncio.timeout(5):
            while sum(event["count"] for event in signer.api.all(resources.EVENTS)) < 6:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        found = {event["message"]: event["count"] for event in signer.api.all(resources.EVENTS) if event["metadata"]["namespace"] == "istio-system"}
        assert found == {"signed a new workload certificate for default/web-1": 2, "signed a new workload certificate for default/web-2": 1}


async def test_root_is_kept_in_a_secret() -> None:
    """A second control plane uses the root that the first one made."""
    api, clock = ReviewingApi(), SystemClock()
    one, two = (AuthorityKeeper(api, Settings(), clock, lambda _: None) for _ in range(2))
    assert (await one.load("cluster.local")).root_pem == (await two.load("cluster.local")).root_pem
    assert api.one(resources.SECRETS, CA_SECRET, "istio-system") is not None


async def test_plugged_in_authority_comes_first() -> None:
    """The Secret `cacerts` is used when it is there."""
    import base64

    api, clock = ReviewingApi(), SystemClock()
    made = authority.self_signed("my.domain", datetime.now(UTC) - timedelta(hours=1))
    files = {"ca-cert.pem": made.certificate_pem, "ca-key.pem": made.key_pem, "root-cert.pem": made.root_pem}
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    await api.create(resources.SECRETS, {"metadata": {"name": "cacerts"}, "data": data}, "istio-system")
    assert (await AuthorityKeeper(api, Settings(), clock, lambda _: None).load("cluster.local")).root_pem == made.root_pem


async def test_root_reaches_every_namespace_and_is_mended() -> None:
    """Also namespaces made later, and ConfigMaps that somebody changed or deleted; system namespaces are left alone."""
    api, clock = ReviewingApi(), SystemClock()
    keeper = AuthorityKeeper(api, Settings(), clock, lambda _: None)
    await keeper.load("cluster.local")
    for name in ("default", "kube-system"):
        await api.create(resources.NAMESPACES, {"metadata": {"name": name}})
    namespaces = Informer(api, resources.NAMESPACES, clock=clock)
    tasks = [asyncio.create_task(namespaces.run()), asyncio.create_task(RootDistributor(api, keeper, namespaces, clock).run())]

    async def until(namespace: str) -> None:
        async with asyncio.timeout(5):
            while (api.one(resources.CONFIGMAPS, "istio-ca-root-cert", namespace) or {}).get("data") != {"root-cert.pem": keeper.authority.root_pem.decode()}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    await until("default")
    await api.create(resources.NAMESPACES, {"metadata": {"name": "later"}})
    await until("later")
    api.change(resources.CONFIGMAPS, "istio-ca-root-cert", "later", data={"root-cert.pem": "other"})
    await until("later")
    api.remove(resources.CONFIGMAPS, "istio-ca-root-cert", "default")
    await until("default")
    assert api.one(resources.CONFIGMAPS, "istio-ca-root-cert", "kube-system") is None
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
