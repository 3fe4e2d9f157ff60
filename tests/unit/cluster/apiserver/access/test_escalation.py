"""Giving away rights."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.api import FakeApi
from tests.fakes.clock import settle

from varka.client.api import ApiError, Object
from varka.client.informers import Informers
from varka.cluster.apiserver.access import authorization, bootstrap_roles, escalation
from varka.cluster.apiserver.request import ADMIN, Attributes, User

JANE = User(name="jane", groups=("devs",))


@pytest.fixture
async def guard() -> Any:
    """A guard where jane is `admin` of the namespace `shop`."""
    api = FakeApi()
    await bootstrap_roles.ensure(api)
    subject = {"kind": "User", "name": "jane"}
    await api.create(
        authorization.ROLE_BINDINGS, {"metadata": {"name": "a"}, "roleRef": {"kind": "ClusterRole", "name": "admin"}, "subjects": [subject]}, "shop"
    )
    authorizer = authorization.RoleAuthorizer()
    informers = Informers(api)
    authorizer.follow(informers)
    task = asyncio.create_task(informers.run())
    await informers.synced()
    await settle()
    yield escalation.EscalationGuard(authorizer)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def write(guard: Any, resource: str, obj: Object, old: Object | None = None, user: User = JANE) -> str:
    """The refusal's text, empty when the write may pass."""
    attributes = Attributes(user=user, verb="create", group=authorization.GROUP, version="v1", resource=resource, namespace="shop", name="x")
    try:
        await guard.validate(attributes, "UPDATE" if old else "CREATE", {"metadata": {"name": "x"}, **obj}, old)
    except ApiError as error:
        assert (error.code, error.reason) == (403, "Forbidden")
        return error.message
    return ""


def rules(*rules: tuple[str, str, str]) -> Object:
    """A role with rules of one group, resource and verb each."""
    return {"rules": [{"apiGroups": [group], "resources": [resource], "verbs": [verb]} for group, resource, verb in rules]}


async def test_role(guard: Any) -> None:
    """A role with rights that its author holds passes, another names what is missing."""
    assert await write(guard, "roles", rules(("", "pods", "get"), ("apps", "deployments/scale", "update"))) == ""
    assert await write(guard, "roles", rules(("", "pods", "get"), ("", "nodes", "get"), ("", "pods", "*"))) == (
        'roles.rbac.authorization.k8s.io "x" is forbidden: user "jane" (groups=["devs"]) is attempting to grant RBAC permissions not currently held:\n'
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}\n{APIGroups:[""], Resources:["pods"], Verbs:["*"]}'
    )


async def test_binding(guard: Any) -> None:
    """A binding passes on what its author holds, and nothing above."""
    assert await write(guard, "rolebindings", {"roleRef": {"kind": "ClusterRole", "name": "edit"}}) == ""
    assert "not currently held" in await write(guard, "rolebindings", {"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}})
    assert await write(guard, "rolebindings", {"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}}, user=ADMIN) == ""


async def test_unchanged(guard: Any) -> None:
    """What gives no new rights may be written: labels of a role that has more than its author."""
    more = rules(("", "nodes", "get"))
    assert await write(guard, "roles", more, {"metadata": {"name": "x"}, **more}) == ""


async def test_aggregation(guard: Any) -> None:
    """Who lets a role collect others must hold everything."""
    assert '{NonResourceURLs:["*"], Verbs:["*"]}' in await write(guard, "clusterroles", {"aggregationRule": {"clusterRoleSelectors": []}})
