"""Writing the bootstrap roles."""

from __future__ import annotations

from tests.fakes.api import FakeApi

from varka.cluster.apiserver.access import authorization, bootstrap_roles
from varka.cluster.apiserver.access.authorization import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES


async def test_written_once() -> None:
    """A second start writes nothing."""
    api = FakeApi()
    await bootstrap_roles.ensure(api)
    names = [role["metadata"]["name"] for role in api.all(CLUSTER_ROLES)]
    assert {"cluster-admin", "admin", "edit", "view", "system:discovery", "system:basic-user", "system:public-info-viewer", "system:auth-delegator"} <= set(
        names
    )
    assert len(api.all(CLUSTER_ROLE_BINDINGS)) == 10
    api.calls.clear()
    await bootstrap_roles.ensure(api)
    assert api.calls == []


async def test_removed_rule_comes_back() -> None:
    """A rule that somebody took away is given back, one that somebody added stays."""
    api = FakeApi()
    await bootstrap_roles.ensure(api)
    extra = {"apiGroups": ["x"], "resources": ["y"], "verbs": ["get"]}
    api.change(CLUSTER_ROLES, "system:basic-user", rules=[extra])
    await bootstrap_roles.ensure(api)
    role = api.one(CLUSTER_ROLES, "system:basic-user")
    assert role is not None
    assert role["rules"] == [extra, *bootstrap_roles.CLUSTER_ROLE_RULES["system:basic-user"]]


async def test_hands_off() -> None:
    """A role whose autoupdate annotation says false is left alone."""
    api = FakeApi()
    await bootstrap_roles.ensure(api)
    role = api.one(CLUSTER_ROLES, "view")
    discovery = api.one(CLUSTER_ROLES, "system:discovery")
    assert role is not None
    assert discovery is not None
    discovery["metadata"]["annotations"][bootstrap_roles.AUTOUPDATE] = "false"
    api.change(CLUSTER_ROLES, "system:discovery", metadata=discovery["metadata"], rules=[])
    await bootstrap_roles.ensure(api)
    assert (api.one(CLUSTER_ROLES, "system:discovery") or {})["rules"] == []


async def test_aggregated_rules_are_written() -> None:
    """The rules of an aggregating role appear in the object, as Kubernetes' controller writes them."""
    api = FakeApi()
    await bootstrap_roles.ensure(api)
    assert await authorization.write_aggregated(api, api.all(CLUSTER_ROLES)) == 3
    assert await authorization.write_aggregated(api, api.all(CLUSTER_ROLES)) == 0
    view = api.one(CLUSTER_ROLES, "view")
    admin = api.one(CLUSTER_ROLES, "admin")
    assert view is not None
    assert admin is not None
    assert view["rules"] == bootstrap_roles.CLUSTER_ROLE_RULES["system:aggregate-to-view"]
    assert all(rule in admin["rules"] for name in ("view", "edit", "admin") for rule in bootstrap_roles.CLUSTER_ROLE_RULES[f"system:aggregate-to-{name}"])
