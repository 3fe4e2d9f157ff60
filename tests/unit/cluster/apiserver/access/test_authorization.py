"""Role-based access control: which rule allows what, and how a refusal reads."""

from __future__ import annotations

from typing import Any

import pytest

from varka.client.informers import Informer, key_of
from varka.cluster.apiserver.access import authorization, bootstrap_roles
from varka.cluster.apiserver.access.authorization import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from varka.cluster.apiserver.request import ADMIN, ANONYMOUS, Attributes, User

JANE = User(name="jane", groups=("devs", "system:authenticated"))
ROBOT = User(name="system:serviceaccount:shop:robot", groups=("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"))


class Held:
    """Informers that hold given objects and follow nothing."""

    def __init__(self, objects: list[tuple[Any, dict[str, Any]]]) -> None:
        none: Any = None
        self._informers = {gvr: Informer(none, gvr) for gvr in (ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)}
        for gvr, obj in objects:
            self._informers[gvr].items[key_of(obj)] = obj

    def of(self, gvr: Any) -> Informer:
        return self._informers[gvr]


def authorizer(*objects: tuple[Any, dict[str, Any]], bootstrap: bool = False) -> authorization.RoleAuthorizer:
    """An authorizer over given objects."""
    made = authorization.RoleAuthorizer()
    held: Any = Held([*(bootstrap_roles.objects() if bootstrap else ()), *objects])
    made.follow(held)
    return made


def role(name: str, *rules: dict[str, Any], namespace: str = "", **more: Any) -> tuple[Any, dict[str, Any]]:
    """A Role or, without a namespace, a ClusterRole."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": more.pop("labels", {})}
    return ROLES if namespace else CLUSTER_ROLES, {"metadata": metadata, "rules": list(rules), **more}


def binding(name: str, role_name: str, *subjects: dict[str, str], namespace: str = "", kind: str = "ClusterRole") -> tuple[Any, dict[str, Any]]:
    """A RoleBinding or, without a namespace, a ClusterRoleBinding."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    gvr = ROLE_BINDINGS if namespace else CLUSTER_ROLE_BINDINGS
    return gvr, {"metadata": metadata, "roleRef": {"kind": kind, "name": role_name}, "subjects": list(subjects)}


def rule(groups: str = "", resources: str = "pods", verbs: str = "get", **more: Any) -> dict[str, Any]:
    """A rule, lists separated by commas."""
    return {"apiGroups": groups.split(","), "resources": resources.split(","), "verbs": verbs.split(","), **more}


def ask(user: User = JANE, verb: str = "get", resource: str = "pods", **more: Any) -> Attributes:
    """A request."""
    return Attributes(user=user, verb=verb, resource=resource, **more)


USER = {"kind": "User", "name": "jane"}


@pytest.mark.parametrize(
    ("given", "asked", "allowed"),
    [
        (rule(), ask(), True),
        (rule(), ask(verb="list"), False),
        (rule(verbs="*"), ask(verb="delete"), True),
        (rule(groups="apps"), ask(), False),
        (rule(groups="*"), ask(group="apps"), True),
        (rule(), ask(subresource="exec"), False),
        (rule(resources="pods/exec"), ask(subresource="exec"), True),
        (rule(resources="*/exec"), ask(subresource="exec"), True),
        (rule(resources="*"), ask(subresource="exec"), True),
        (rule(resources="pods/exec"), ask(), False),
        (rule(resourceNames=["a"]), ask(name="a"), True),
        (rule(resourceNames=["a"]), ask(name="b"), False),
        (rule(resourceNames=["a"]), ask(), False),
        ({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}, ask(resource="", path="/metrics"), True),
        ({"nonResourceURLs": ["/healthz/*"], "verbs": ["get"]}, ask(resource="", path="/healthz/ping"), True),
        ({"nonResourceURLs": ["/healthz/*"], "verbs": ["get"]}, ask(resource="", path="/metrics"), False),
        ({"nonResourceURLs": ["*"], "verbs": ["get"]}, ask(), False),
    ],
)
def test_rules(given: dict[str, Any], asked: Attributes, allowed: bool) -> None:
    """One rule against one request."""
    assert authorizer(role("r", given), binding("b", "r", USER)).authorize(asked)[0] is allowed


def test_binding_in_a_namespace() -> None:
    """A RoleBinding gives a ClusterRole's rules in its own namespace only, and says so."""
    made = authorizer(role("r", rule()), binding("b", "r", USER, namespace="shop"))
    assert made.authorize(ask(namespace="shop")) == (True, 'RBAC: allowed by RoleBinding "shop/b" of ClusterRole "r" to User "jane"')
    assert made.authorize(ask(namespace="bank")) == (False, "")
    assert made.authorize(ask()) == (False, "")


def test_role_of_the_namespace() -> None:
    """A RoleBinding to a Role means the Role of its own namespace."""
    made = authorizer(
        role("r", rule(), namespace="shop"), binding("b", "r", USER, namespace="shop", kind="Role"), binding("c", "r", USER, namespace="bank", kind="Role")
    )
    assert made.authorize(ask(namespace="shop"))[0]
    assert not made.authorize(ask(namespace="bank"))[0]


@pytest.mark.parametrize(
    ("subject", "user", "allowed"),
    [
        ({"kind": "Group", "name": "devs"}, JANE, True),
        ({"kind": "Group", "name": "ops"}, JANE, False),
        ({"kind": "ServiceAccount", "name": "robot", "namespace": "shop"}, ROBOT, True),
        ({"kind": "ServiceAccount", "name": "robot", "namespace": "bank"}, ROBOT, False),
        ({"kind": "Group", "name": "system:serviceaccounts:shop"}, ROBOT, True),
        ({"kind": "User", "name": "system:serviceaccount:shop:robot"}, ROBOT, True),
    ],
)
def test_subjects(subject: dict[str, str], user: User, allowed: bool) -> None:
    """Users, groups and service accounts are subjects."""
    assert authorizer(role("r", rule()), binding("b", "r", subject)).authorize(ask(user))[0] is allowed


def test_masters() -> None:
    """system:masters need no role."""
    assert authorizer().authorize(ask(ADMIN, verb="delete", resource="nodes"))[0]
    assert not authorizer().authorize(ask())[0]


def test_aggregation() -> None:
    """An aggregating role has the rules of the roles with its label, new ones as soon as they are there."""
    selector = {"clusterRoleSelectors": [{"matchLabels": {"to": "sum"}}]}
    parts = (role("part-1", rule(), labels={"to": "sum"}), role("part-2", rule(verbs="list"), labels={"to": "sum"}), role("other", rule(verbs="delete")))
    made = authorizer(role("sum", aggregationRule=selector), *parts, binding("b", "sum", USER))
    assert [made.authorize(ask(verb=verb))[0] for verb in ("get", "list", "delete")] == [True, True, False]


def test_change_counts_at_once() -> None:
    """What was decided before a change is not remembered after it."""
    made = authorization.RoleAuthorizer()
    held: Any = Held([role("r", rule())])
    made.follow(held)
    assert not made.authorize(ask())[0]
    held.of(CLUSTER_ROLE_BINDINGS)._store({**binding("b", "r", USER)[1]})
    assert made.authorize(ask())[0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (ask(verb="list", namespace="default"), 'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"'),
        (
            ask(verb="get", group="apps", resource="deployments", name="web", namespace="shop"),
            'deployments.apps "web" is forbidden: User "jane" cannot get resource "deployments" in API group "apps" in the namespace "shop"',
        ),
        (
            ask(verb="create", subresource="exec", name="p", namespace="shop"),
            'pods "p" is forbidden: User "jane" cannot create resource "pods/exec" in API group "" in the namespace "shop"',
        ),
        (ask(verb="list", resource="nodes"), 'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope'),
        (ask(resource="", path="/metrics"), 'forbidden: User "jane" cannot get path "/metrics"'),
    ],
)
def test_refusal(asked: Attributes, message: str) -> None:
    """A refusal reads as Kubernetes'."""
    error = authorization.forbidden(asked)
    assert (error.code, error.reason, error.message) == (403, "Forbidden", message)


@pytest.mark.parametrize(
    ("role_name", "asked", "allowed"),
    [
        ("view", ask(verb="list"), True),
        ("view", ask(resource="secrets"), False),
        ("view", ask(verb="create", subresource="exec"), False),
        ("edit", ask(resource="secrets"), True),
        ("edit", ask(verb="create", subresource="exec"), True),
        ("edit", ask(verb="update", resource="deployments", group="apps"), True),
        ("edit", ask(verb="create", resource="rolebindings", group=authorization.GROUP), False),
        ("admin", ask(verb="create", resource="rolebindings", group=authorization.GROUP), True),
        ("admin", ask(verb="list"), True),
        ("admin", ask(verb="delete", resource="nodes"), False),
        ("cluster-admin", ask(verb="delete", resource="nodes"), True),
        ("system:auth-delegator", ask(verb="create", resource="tokenreviews", group="authentication.k8s.io"), True),
    ],
)
def test_bootstrap_roles(role_name: str, asked: Attributes, allowed: bool) -> None:
    """The roles that people bind give what they give on Kubernetes."""
    assert authorizer(binding("b", role_name, USER), bootstrap=True).authorize(asked)[0] is allowed


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (ask(ANONYMOUS, resource="", path="/version"), True),
        (ask(ANONYMOUS, resource="", path="/api"), False),
        (ask(resource="", path="/apis/apps/v1"), True),
        (ask(verb="create", resource="selfsubjectaccessreviews", group="authorization.k8s.io"), True),
        (ask(verb="create", resource="subjectaccessreviews", group="authorization.k8s.io"), False),
        (ask(ROBOT, resource="", path="/openid/v1/jwks"), True),
        (ask(), False),
    ],
)
def test_bootstrap_bindings(asked: Attributes, allowed: bool) -> None:
    """Everybody who is known may discover and ask about oneself; the unknown may ask for health and version."""
    assert authorizer(bootstrap=True).authorize(asked)[0] is allowed
