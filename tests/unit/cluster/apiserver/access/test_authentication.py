"""Who is let in."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock

from varka.client.api import ApiError
from varka.cluster.apiserver.access import authentication, tokens
from varka.cluster.apiserver.request import ANONYMOUS, Attributes, User


class Allow:
    """Allows what is listed, by verb, resource and name."""

    def __init__(self, *allowed: tuple[str, str]) -> None:
        self.allowed = allowed

    def authorize(self, attributes: Attributes) -> tuple[bool, str]:
        return attributes.verb == "impersonate" and (attributes.resource, attributes.name) in self.allowed, ""


class World:
    """An authenticator over a fake API with one ServiceAccount."""

    def __init__(self, *allowed: tuple[str, str]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.api = FakeApi()
        self.signer = tokens.TokenSigner(pem, TurnedClock())
        self.authenticator = authentication.RequestAuthenticator(self.signer, lambda: self.api, Allow(*allowed))

    async def token(self) -> str:
        """A good token."""
        account = await self.api.create(tokens.SERVICE_ACCOUNTS, {"metadata": {"name": "web", "namespace": "shop"}}, "shop")
        return self.signer.sign(account, [], 3600)[0]

    async def who(self, path: str = "/api", **headers: str) -> User | None:
        """Whom a request comes from."""
        shown: Any = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.authenticator.authenticate(make_mocked_request("GET", path, headers=shown))


async def test_token() -> None:
    """A ServiceAccount token lets its account in."""
    world = World()
    user = await world.who(Authorization=f"Bearer {await world.token()}")
    assert user is not None
    assert user.name == "system:serviceaccount:shop:web"


async def test_bad_token() -> None:
    """A bad token is refused with 401, also where nobody has to log in."""
    for path in ("/api", "/healthz"):
        with pytest.raises(ApiError) as caught:
            await World().who(path, Authorization="Bearer abc")
        assert (caught.value.code, caught.value.status["reason"]) == (401, "Unauthorized")


async def test_nobody() -> None:
    """Without credentials only health and version can be asked for."""
    assert [await World().who(path) for path in ("/healthz", "/livez", "/readyz/ping", "/version")] == [ANONYMOUS] * 4
    for path in ("/", "/api", "/metrics", "/healthzz"):
        with pytest.raises(ApiError) as caught:
            await World().who(path)
        assert caught.value.code == 401


async def test_impersonation() -> None:
    """Who may impersonate a user and a group is taken for them."""
    world = World(("users", "jane"), ("groups", "devs"), ("serviceaccounts", "robot"))
    token = f"Bearer {await world.token()}"
    user = await world.who(Authorization=token, Impersonate_User="jane", Impersonate_Group="devs")
    assert user == User(name="jane", groups=("devs", "system:authenticated"))
    robot = await world.who(Authorization=token, Impersonate_User="system:serviceaccount:shop:robot")
    assert robot is not None
    assert robot.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")


async def test_impersonation_refused() -> None:
    """Without the right the refusal is Kubernetes'."""
    world = World()
    with pytest.raises(ApiError) as caught:
        await world.who(Authorization=f"Bearer {await world.token()}", Impersonate_User="jane")
    text = 'users "jane" is forbidden: User "system:serviceaccount:shop:web" cannot impersonate resource "users" in API group "" at the cluster scope'
    assert (caught.value.code, caught.value.message) == (403, text)


async def test_group_without_user() -> None:
    """Groups alone cannot be impersonated."""
    world = World()
    with pytest.raises(ApiError) as caught:
        await world.who(Authorization=f"Bearer {await world.token()}", Impersonate_Group="devs")
    assert caught.value.code == 400


def test_certificate() -> None:
    """A certificate's CN is the user, its O the groups."""
    subject = ((("organizationName", "system:masters"),), (("organizationName", "ops"),), (("commonName", "jane"),))
    assert authentication.of_certificate({"subject": subject}) == User(name="jane", groups=("system:masters", "ops", "system:authenticated"))
    assert authentication.of_certificate({}) is None
    assert authentication.of_certificate({"subject": ((("organizationName", "ops"),),)}) is None
