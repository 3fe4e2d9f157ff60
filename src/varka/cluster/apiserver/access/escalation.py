"""Nobody may give away rights that they do not have: the check on every write of a role or binding.

As in Kubernetes, the verb `escalate` on a role, or `bind` on the role that a binding names, lifts it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from varka.client.api import ApiError, Object
from varka.cluster.apiserver.access.authorization import GROUP, MASTERS, RoleAuthorizer
from varka.cluster.apiserver.request import Admission, Attributes, User

ROLES, BINDINGS = ("roles", "clusterroles"), ("rolebindings", "clusterrolebindings")
EVERYTHING = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]})

Rule = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Right:
    """One verb on one thing; `name` is empty for all names, `path` for resources."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str = ""
    path: str = ""

    def shown(self) -> str:
        """As Kubernetes prints what is missing."""
        if self.path:
            return f'{{NonResourceURLs:["{self.path}"], Verbs:["{self.verb}"]}}'
        names = f', ResourceNames:["{self.name}"]' if self.name else ""
        return f'{{APIGroups:["{self.group}"], Resources:["{self.resource}"]{names}, Verbs:["{self.verb}"]}}'


class EscalationGuard:
    """`Admission` that lets a role or binding pass only when its author holds all of its rights."""

    def __init__(self, authorizer: RoleAuthorizer) -> None:
        self._authorizer = authorizer

    async def mutate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> tuple[Object | None, list[str]]:
        """Changes nothing."""
        return obj, []

    async def validate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> list[str]:
        """ApiError 403 that names the rights which the author lacks."""
        if attributes.group != GROUP or obj is None or attributes.subresource or MASTERS in attributes.user.groups:
            return []
        if attributes.resource in ROLES and not _same(obj, old, ("rules", "aggregationRule")):
            if not self._may(attributes, "escalate", attributes.resource, obj["metadata"].get("name", "")):
                self._check(attributes, obj, EVERYTHING if obj.get("aggregationRule") else obj.get("rules") or ())
        elif attributes.resource in BINDINGS and not _same(obj, old, ("roleRef", "subjects")):
            reference = obj.get("roleRef") or {}
            resource = "clusterroles" if reference.get("kind") == "ClusterRole" else "roles"
            if not self._may(attributes, "bind", resource, reference.get("name", "")):
                self._check(attributes, obj, self._authorizer.rules_of(reference, attributes.namespace))
        return []

    def _may(self, attributes: Attributes, verb: str, resource: str, name: str) -> bool:
        return self._authorizer.authorize(replace(attributes, verb=verb, resource=resource, name=name))[0]

    def _check(self, attributes: Attributes, obj: Object, rules: Iterable[Rule]) -> None:
        held = self._authorizer.rules(attributes.user, attributes.namespace)
        missing = [right for right in dict.fromkeys(_rights(rules)) if not any(_covers(rule, right) for rule in held)]
        if missing:
            name = obj["metadata"].get("name", "")
            listed = "\n".join(right.shown() for right in sorted(missing, key=lambda right: right.shown()))
            text = f"{_shown(attributes.user)} is attempting to grant RBAC permissions not currently held:\n{listed}"
            details = {"name": name, "group": GROUP, "kind": attributes.resource}
            raise ApiError(403, "Forbidden", f'{attributes.resource}.{GROUP} "{name}" is forbidden: {text}', details)


class Chain:
    """Several `Admission`s, one after the other."""

    def __init__(self, *parts: Admission) -> None:
        self._parts = parts

    async def mutate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> tuple[Object | None, list[str]]:
        """Each sees what the one before left."""
        warnings: list[str] = []
        for part in self._parts:
            obj, more = await part.mutate(attributes, operation, obj, old)
            warnings += more
        return obj, warnings

    async def validate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> list[str]:
        """The first refusal counts."""
        return [warning for part in self._parts for warning in await part.validate(attributes, operation, obj, old)]


def _rights(rules: Iterable[Rule]) -> Iterator[_Right]:
    for rule in rules:
        for verb in rule.get("verbs") or ():
            for path in rule.get("nonResourceURLs") or ():
                yield _Right(verb, path=path)
            parts = itertools.product(rule.get("apiGroups") or (), rule.get("resources") or (), rule.get("resourceNames") or ("",))
            for group, resource, name in parts:
                yield _Right(verb, group, resource, name)


def _covers(rule: Rule, right: _Right) -> bool:
    def has(field: str, word: str) -> bool:
        return any(each in ("*", word) for each in rule.get(field) or ())

    if not has("verbs", right.verb):
        return False
    if right.path:
        return any(each in ("*", right.path) or (each.endswith("*") and right.path.startswith(each[:-1])) for each in rule.get("nonResourceURLs") or ())
    _, _, subresource = right.resource.partition("/")
    resources = rule.get("resources") or ()
    if not has("apiGroups", right.group) or not (has("resources", right.resource) or (subresource and f"*/{subresource}" in resources)):
        return False
    names = rule.get("resourceNames")
    return not names or right.name in names


def _same(obj: Object, old: Object | None, fields: Iterable[str]) -> bool:
    return old is not None and all((obj.get(field) or None) == (old.get(field) or None) for field in fields)


def _shown(user: User) -> str:
    groups = " ".join(f'"{group}"' for group in user.groups)
    return f'user "{user.name}" (groups=[{groups}])'
