"""ServiceAccount tokens: what they say, and when they stop being good."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock

from varka.client.api import ApiError, Gvr
from varka.cluster.apiserver.access import tokens
from varka.cluster.apiserver.request import ADMIN, Attributes

PODS = Gvr("", "v1", "pods")


def key_pem() -> bytes:
    """A new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class World:
    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.api = FakeApi(self.clock)
        self.signer = tokens.TokenSigner(key_pem(), self.clock)

    async def fill(self) -> None:
        self.account = await self.api.create(
            tokens.SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "shop"}}, "shop"
        )
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "shop"},
            "spec": {"serviceAccountName": "web", "nodeName": "varka"},
        }
        self.pod = await self.api.create(PODS, pod, "shop")

    async def request(self, **spec: Any) -> dict[str, Any]:
        attributes = Attributes(user=ADMIN, verb="create", resource="serviceaccounts", subresource="token", namespace="shop", name="web")
        context: Any = SimpleNamespace(api=self.api)
        return await self.signer.request_token(context, attributes, {"spec": spec}, self.account)


@pytest.fixture
async def world() -> World:
    """A signer over an API with one ServiceAccount and its pod."""
    world = World()
    await world.fill()
    return world


async def test_claims(world: World) -> None:
    """A bound token has Kubernetes' claims."""
    answer = await world.request(audiences=["istio-ca"], expirationSeconds=3600, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "web-1"})
    claims = jwt.decode(answer["status"]["token"], options={"verify_signature": False})
    now = int(world.clock.now().timestamp())
    assert {key: value for key, value in claims.items() if key != "jti"} == {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": "system:serviceaccount:shop:web",
        "aud": ["istio-ca"],
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "kubernetes.io": {
            "namespace": "shop",
            "serviceaccount": {"name": "web", "uid": world.account["metadata"]["uid"]},
            "pod": {"name": "web-1", "uid": world.pod["metadata"]["uid"]},
            "node": {"name": "varka"},
        },
    }
    assert answer["kind"] == "TokenRequest"
    assert answer["spec"]["audiences"] == ["istio-ca"]


async def test_verify(world: World) -> None:
    """A good token stands for its ServiceAccount, with the pod among the extras."""
    answer = await world.request(boundObjectRef={"kind": "Pod", "name": "web-1"})
    verified = await world.signer.verify(world.api, answer["status"]["token"])
    assert verified.user.name == "system:serviceaccount:shop:web"
    assert verified.user.uid == world.account["metadata"]["uid"]
    assert verified.user.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")
    assert verified.user.extra["authentication.kubernetes.io/pod-name"] == ("web-1",)
    assert verified.audiences == (tokens.ISSUER,)


async def test_audience(world: World) -> None:
    """A token for one audience is no token for another, nor for the API server."""
    token = (await world.request(audiences=["istio-ca"]))["status"]["token"]
    assert (await world.signer.verify(world.api, token, ["istio-ca", "other"])).audiences == ("istio-ca",)
    for wrong in (["other"], []):
        with pytest.raises(tokens.InvalidToken, match="audiences"):
            await world.signer.verify(world.api, token, wrong)


async def test_expiry(world: World) -> None:
    """A token ends with its time."""
    token = (await world.request(expirationSeconds=600))["status"]["token"]
    later = TurnedClock(world.clock.now() + timedelta(seconds=600))
    world.signer._clock = later
    with pytest.raises(tokens.InvalidToken, match="expired"):
        await world.signer.verify(world.api, token)


async def test_dies_with_the_pod(world: World) -> None:
    """A bound token is bad once its pod is gone, even when another has its name."""
    token = (await world.request(boundObjectRef={"kind": "Pod", "name": "web-1"}))["status"]["token"]
    world.api.remove(PODS, "web-1", "shop")
    with pytest.raises(tokens.InvalidToken, match="pod web-1 has been deleted"):
        await world.signer.verify(world.api, token)
    await world.api.create(PODS, {"metadata": {"name": "web-1"}}, "shop")
    with pytest.raises(tokens.InvalidToken, match="not the one"):
        await world.signer.verify(world.api, token)


async def test_dies_with_the_account(world: World) -> None:
    """A token is bad once its ServiceAccount is gone."""
    token = (await world.request())["status"]["token"]
    world.api.remove(tokens.SERVICE_ACCOUNTS, "web", "shop")
    with pytest.raises(tokens.InvalidToken, match="service account web has been deleted"):
        await world.signer.verify(world.api, token)


async def test_foreign_key(world: World) -> None:
    """A token that another key signed is bad, and so is one without signature."""
    stranger = tokens.TokenSigner(key_pem(), world.clock)
    token, _ = stranger.sign(world.account, [], 3600)
    unsigned = jwt.encode(jwt.decode(token, options={"verify_signature": False}), key="", algorithm="none")
    for bad in (token, unsigned, "abc"):
        with pytest.raises(tokens.InvalidToken):
            await world.signer.verify(world.api, bad)


async def test_lifetime_limits(world: World) -> None:
    """Less than ten minutes is refused in Kubernetes' words; no wish gives an hour."""
    with pytest.raises(ApiError) as caught:
        await world.request(expirationSeconds=599)
    assert caught.value.code == 422
    assert str(caught.value.message).endswith("spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes")
    assert (await world.request())["spec"]["expirationSeconds"] == 3600


async def test_pod_of_another_account(world: World) -> None:
    """A token cannot be bound to a pod that runs under another ServiceAccount."""
    await world.api.create(PODS, {"metadata": {"name": "other"}, "spec": {"serviceAccountName": "default"}}, "shop")
    with pytest.raises(ApiError) as caught:
        await world.request(boundObjectRef={"kind": "Pod", "name": "other"})
    assert caught.value.code == 400


async def test_jwks(world: World) -> None:
    """The published key verifies a token."""
    token, _ = world.signer.sign(world.account, ["x"], 3600)
    key = jwt.PyJWK(world.signer.jwks()["keys"][0])
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert jwt.decode(token, key, algorithms=["ES256"], audience="x", options=options)["sub"] == "system:serviceaccount:shop:web"
    assert jwt.get_unverified_header(token)["kid"] == world.signer.key_id
