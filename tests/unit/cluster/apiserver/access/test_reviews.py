"""The resources that are only asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock

from varka.client.api import ApiError, Object
from varka.cluster.apiserver.access import authorization, reviews, tokens
from varka.cluster.apiserver.request import ADMIN, Attributes, User

JANE = User(name="jane", uid="7", groups=("devs",), extra={"scope": ("a",)})


class World:
    """The handlers over a new key, a fake API and an authorizer without roles."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        clock = TurnedClock()
        self.api = FakeApi(clock)
        self.signer = tokens.TokenSigner(pem, clock)
        self.handlers = reviews.Reviews(self.signer, authorization.RoleAuthorizer(), clock).handlers()

    async def ask(self, group: str, resource: str, spec: Object | None, user: User = ADMIN, namespace: str = "") -> Object:
        """The answer to a review."""
        context: Any = SimpleNamespace(api=self.api)
        attributes = Attributes(user=user, verb="create", group=group, version="v1", resource=resource, namespace=namespace)
        return await self.handlers[group, resource, ""](context, attributes, {"spec": spec} if spec is not None else {}, None)


@pytest.fixture
def world() -> World:
    """A fresh world."""
    return World()


async def test_whoami(world: World) -> None:
    """A SelfSubjectReview tells the caller who the caller is."""
    answer = await world.ask("authentication.k8s.io", "selfsubjectreviews", None, JANE)
    assert answer == {
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"userInfo": {"username": "jane", "uid": "7", "groups": ["devs"], "extra": {"scope": ["a"]}}},
    }


async def test_token_review(world: World) -> None:
    """A good token for an asked audience is authenticated, others are not, and say why."""
    account = await world.api.create(tokens.SERVICE_ACCOUNTS, {"metadata": {"name": "web", "namespace": "shop"}}, "shop")
    token, _ = world.signer.sign(account, ["istio-ca"], 3600)
    good = await world.ask("authentication.k8s.io", "tokenreviews", {"token": token, "audiences": ["istio-ca"]})
    assert good["status"]["authenticated"] is True
    assert good["status"]["audiences"] == ["istio-ca"]
    assert good["status"]["user"]["username"] == "system:serviceaccount:shop:web"
    for spec in ({"token": token}, {"token": token + "x", "audiences": ["istio-ca"]}):
        bad = await world.ask("authentication.k8s.io", "tokenreviews", spec)
        assert not bad["status"].get("authenticated")
        assert bad["status"]["error"].startswith("[invalid bearer token, ")


async def test_can_i(world: World) -> None:
    """A SelfSubjectAccessReview answers for the caller."""
    spec = {"resourceAttributes": {"verb": "list", "resource": "pods"}}
    assert (await world.ask("authorization.k8s.io", "selfsubjectaccessreviews", spec))["status"] == {"allowed": True}
    assert (await world.ask("authorization.k8s.io", "selfsubjectaccessreviews", spec, JANE))["status"] == {"allowed": False}


async def test_can_somebody_else(world: World) -> None:
    """A SubjectAccessReview answers for the named user and groups."""
    spec = {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}, "user": "x", "groups": ["system:masters"]}
    assert (await world.ask("authorization.k8s.io", "subjectaccessreviews", spec))["status"] == {"allowed": True}
    with pytest.raises(ApiError, match="at least one of user or group must be specified"):
        await world.ask("authorization.k8s.io", "subjectaccessreviews", {"resourceAttributes": {}})


async def test_local_review(world: World) -> None:
    """A LocalSubjectAccessReview is about its own namespace."""
    spec = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "bank"}, "user": "jane"}
    with pytest.raises(ApiError, match=r"must match metadata\.namespace"):
        await world.ask("authorization.k8s.io", "localsubjectaccessreviews", spec, namespace="shop")
    assert (await world.ask("authorization.k8s.io", "localsubjectaccessreviews", spec, namespace="bank"))["status"] == {"allowed": False}


async def test_rules(world: World) -> None:
    """A SelfSubjectRulesReview lists what the caller may."""
    answer = await world.ask("authorization.k8s.io", "selfsubjectrulesreviews", {"namespace": "shop"})
    assert answer["status"] == {
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": False,
    }


async def test_nothing_asked(world: World) -> None:
    """A review that asks about nothing, or about two things, is invalid."""
    for spec in ({}, {"resourceAttributes": {}, "nonResourceAttributes": {}}):
        with pytest.raises(ApiError) as caught:
            await world.ask("authorization.k8s.io", "selfsubjectaccessreviews", spec)
        assert caught.value.code == 422


@pytest.mark.parametrize(
    ("group", "resource", "spec"),
    [
        ("authentication.k8s.io", "tokenreviews", {"token": 5}),
        ("authentication.k8s.io", "tokenreviews", {"token": "x", "audiences": "a"}),
        ("authentication.k8s.io", "tokenreviews", [1]),
        ("authorization.k8s.io", "subjectaccessreviews", {"user": {}, "resourceAttributes": {}}),
        ("authorization.k8s.io", "subjectaccessreviews", {"user": "a", "extra": {"x": 1}, "resourceAttributes": {}}),
        ("authorization.k8s.io", "selfsubjectaccessreviews", {"resourceAttributes": {"verb": []}}),
        ("authorization.k8s.io", "selfsubjectaccessreviews", {"nonResourceAttributes": "x"}),
        ("authorization.k8s.io", "localsubjectaccessreviews", {"user": "a", "resourceAttributes": "x"}),
        ("authorization.k8s.io", "selfsubjectrulesreviews", {"namespace": 1}),
    ],
)
async def test_bodies_of_wrong_types(world: World, group: str, resource: str, spec: Any) -> None:
    """They are the caller's mistake, and the answer names the field."""
    with pytest.raises(ApiError) as caught:
        await world.ask(group, resource, spec)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    assert "$.spec" in str(caught.value)
