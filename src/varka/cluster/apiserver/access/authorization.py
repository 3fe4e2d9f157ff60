"""Who may do what: role-based access control over Role, ClusterRole and their bindings.

The objects are read from informers, so a decision needs no waiting. `system:masters` may do everything; that is how the
administrator and the node's own components work while no role exists yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from varka.client.api import Api, ApiError, Gvr, Object
from varka.client.informers import Informer, Informers
from varka.cluster.apiserver import selectors
from varka.cluster.apiserver.request import Attributes, User

GROUP = "rbac.authorization.k8s.io"
ROLES = Gvr(GROUP, "v1", "roles")
ROLE_BINDINGS = Gvr(GROUP, "v1", "rolebindings")
CLUSTER_ROLES = Gvr(GROUP, "v1", "clusterroles")
CLUSTER_ROLE_BINDINGS = Gvr(GROUP, "v1", "clusterrolebindings")

MASTERS = "system:masters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The rules that one binding gives; `why` names binding, role and subject as Kubernetes' reasons do."""

    rules: tuple[Mapping[str, list[str]], ...]
    why: str


class RoleAuthorizer:
    """Decides by the roles and bindings that the informers hold."""

    def __init__(self) -> None:
        self._roles: Informer | None = None
        self._bindings: Informer | None = None
        self._cluster_roles: Informer | None = None
        self._cluster_bindings: Informer | None = None
        self._grants: dict[tuple[str, tuple[str, ...], str], list[Grant]] = {}

    def follow(self, informers: Informers) -> None:
        """Read roles and bindings from these informers, which somebody else runs."""
        self._roles, self._bindings = informers.of(ROLES), informers.of(ROLE_BINDINGS)
        self._cluster_roles, self._cluster_bindings = informers.of(CLUSTER_ROLES), informers.of(CLUSTER_ROLE_BINDINGS)
        for informer in (self._roles, self._bindings, self._cluster_roles, self._cluster_bindings):
            informer.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        self._grants.clear()

    def authorize(self, attributes: Attributes) -> tuple[bool, str]:
        """Whether a binding allows the request, and which one."""
        if MASTERS in attributes.user.groups:
            return True, ""
        for namespace in ("", attributes.namespace) if attributes.namespace else ("",):
            for grant in self.grants(attributes.user, namespace):
                if any(allows(rule, attributes) for rule in grant.rules):
                    return True, f"RBAC: allowed by {grant.why}"
        return False, ""

    def grants(self, user: User, namespace: str) -> list[Grant]:
        """What the user is given by RoleBindings in `namespace`, or, for the empty one, by ClusterRoleBindings."""
        key = (user.name, user.groups, namespace)
        found = self._grants.get(key)
        if found is None:
            if len(self._grants) > 4096:
                self._grants.clear()
            found = self._grants[key] = list(self._find_grants(user, namespace))
        return found

    def rules(self, user: User, namespace: str) -> list[Object]:
        """Every rule that holds for the user in a namespace."""
        if MASTERS in user.groups:
            return [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]
        grants = [*self.grants(user, ""), *(self.grants(user, namespace) if namespace else ())]
        return [dict(rule) for grant in grants for rule in grant.rules]

    def _find_grants(self, user: User, namespace: str) -> Iterator[Grant]:
        informer = self._bindings if namespace else self._cluster_bindings
        if informer is None:
            return
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        for binding in sorted(informer, key=lambda obj: str(obj["metadata"]["name"])):
            metadata = binding["metadata"]
            if namespace and metadata.get("namespace") != namespace:
                continue
            subject = next((subject for subject in binding.get("subjects") or () if _is_subject(subject, user, namespace)), None)
            if subject is None:
                continue
            reference = binding.get("roleRef") or {}
            rules = self.rules_of(reference, namespace)
            if rules:
                shown = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
                yield Grant(
                    rules=tuple(rules), why=f'{kind} "{shown}" of {reference.get("kind")} "{reference.get("name")}" to {_show_subject(subject, namespace)}'
                )

    def rules_of(self, reference: Object, namespace: str) -> list[Object]:
        """The rules of the role that a binding names, as they are now; empty when there is no such role."""
        if reference.get("kind") == "ClusterRole" and self._cluster_roles is not None:
            role = self._cluster_roles.get(reference.get("name", ""))
            if role is not None and role.get("aggregationRule"):
                return aggregated(role, self._cluster_roles)
        elif reference.get("kind") == "Role" and self._roles is not None and namespace:
            role = self._roles.get(reference.get("name", ""), namespace)
        else:
            role = None
        return list((role or {}).get("rules") or ())


def aggregated(role: Object, roles: Iterable[Object], _above: frozenset[str] = frozenset()) -> list[Object]:
    """The rules of all ClusterRoles that an aggregating one selects, each once, in the order of the roles' names.

    A selected role that aggregates itself counts with what it collects, written into it already or not.
    """
    known = list(roles)
    above = _above | {role["metadata"]["name"]}
    wanted = [selectors.from_label_selector(selector) for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()]
    rules: list[Object] = []
    for other in sorted(known, key=lambda obj: str(obj["metadata"]["name"])):
        if other["metadata"]["name"] in above:
            continue
        if any(matches(other["metadata"].get("labels") or {}) for matches in wanted):
            found = aggregated(other, known, above) if other.get("aggregationRule") else other.get("rules") or ()
            rules += [rule for rule in found if rule not in rules]
    return rules


async def write_aggregated(api: Api, roles: Iterable[Object]) -> int:
    """Write their rules into aggregating ClusterRoles, as Kubernetes' controller does; gives how many changed."""
    known = list(roles)
    changed = 0
    for role in known:
        if not role.get("aggregationRule"):
            continue
        rules = aggregated(role, known)
        if rules != (role.get("rules") or []):
            try:
                await api.update(CLUSTER_ROLES, {**role, "rules": rules})
                changed += 1
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
    return changed


def allows(rule: Mapping[str, list[str]], attributes: Attributes) -> bool:
    """Whether one rule covers a request."""
    if not _has(rule.get("verbs"), attributes.verb):
        return False
    if not attributes.is_resource:
        return any(_path_matches(pattern, attributes.path) for pattern in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups"), attributes.group):
        return False
    if not _resource_matches(rule.get("resources") or (), attributes.resource, attributes.subresource):
        return False
    names = rule.get("resourceNames")
    return not names or attributes.name in names


def forbidden_message(attributes: Attributes, reason: str = "") -> str:
    """The text of a 403, as Kubernetes words it."""
    user, tail = attributes.user.name, f": {reason}" if reason else ""
    if not attributes.is_resource:
        return f'forbidden: User "{user}" cannot {attributes.verb} path "{attributes.path}"{tail}'
    qualified = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
    named = f' "{attributes.name}"' if attributes.name else ""
    shown = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    return f'{qualified}{named} is forbidden: User "{user}" cannot {attributes.verb} resource "{shown}" in API group "{attributes.group}" {where}{tail}'


def forbidden(attributes: Attributes, reason: str = "") -> ApiError:
    """403 for a request that no rule allows."""
    details = {"name": attributes.name, "group": attributes.group, "kind": attributes.resource}
    return ApiError(403, "Forbidden", forbidden_message(attributes, reason), {key: value for key, value in details.items() if value})


def _has(words: Iterable[str] | None, word: str) -> bool:
    return any(each in ("*", word) for each in words or ())


def _resource_matches(patterns: Iterable[str], resource: str, subresource: str) -> bool:
    combined = f"{resource}/{subresource}" if subresource else resource
    return any(pattern in ("*", combined) or (subresource and pattern == f"*/{subresource}") for pattern in patterns)


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def _is_subject(subject: Object, user: User, namespace: str) -> bool:
    match subject.get("kind"):
        case "User":
            return bool(subject.get("name") == user.name)
        case "Group":
            return subject.get("name") in user.groups
        case "ServiceAccount":
            return f"system:serviceaccount:{subject.get('namespace') or namespace}:{subject.get('name')}" == user.name
    return False


def _show_subject(subject: Object, namespace: str) -> str:
    if subject.get("kind") == "ServiceAccount":
        return f'ServiceAccount "{subject.get("name")}/{subject.get("namespace") or namespace}"'
    return f'{subject.get("kind")} "{subject.get("name")}"'
