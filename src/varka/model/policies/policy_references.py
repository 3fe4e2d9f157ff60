"""What policies refer to and what is not there: external authorizers, and the keys of token issuers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.model.policies import authorization, key_sets, signing_keys
from varka.model.security import Action, AuthorizationPolicy, Authorizer
from varka.model.services import Hostname
from varka.model.snapshot import Snapshot
from varka.resources import Condition, conditions, security
from varka.resources.parsing import Parsed

Ref = tuple[str, str, str]


def find(snapshot: Snapshot) -> Iterable[tuple[Ref, Condition]]:
    """Conditions, each with kind, namespace and name of its resource."""
    authorizers = {one.name: one for one in snapshot.mesh.authorizers}
    hosts = {service.hostname: service for service in snapshot.registry.services}
    reachable = {one.name for one in authorizers.values() if (service := hosts.get(Hostname(one.host))) is not None and service.port(one.port) is not None}
    for scoped in (one for items in snapshot.authorization.namespaces.values() for one in items):
        policy = scoped.policy
        problem = _provider(policy, authorizers, reachable) if policy.action is Action.CUSTOM else ""
        if problem:
            text = f"{problem}; requests that the policy matches are refused"
            yield ("AuthorizationPolicy", policy.namespace, policy.name), conditions.error("spec.provider", text, "ReferencedResourceNotFound")
    for source in snapshot.inputs.request_authentications:
        for condition in _keys(source, snapshot):
            yield ("RequestAuthentication", source.meta.namespace, source.meta.name), condition


def _provider(policy: AuthorizationPolicy, authorizers: Mapping[str, Authorizer], reachable: set[str]) -> str:
    found = authorizers.get(policy.provider)
    if found is None:
        known = ", ".join(sorted(authorizers)) or "none"
        return f"no external authorizer {policy.provider!r} in extensionProviders of the mesh configuration, which has {known}"
    if found.problem:
        return f"the external authorizer {policy.provider!r} is not usable: {found.problem}"
    return "" if policy.provider in reachable else f"referenced host not found: {found.host}:{found.port} of the external authorizer {policy.provider!r}"


def _keys(source: Parsed[security.RequestAuthentication], snapshot: Snapshot) -> Iterable[Condition]:
    known, services = snapshot.inputs.signing_keys, snapshot.registry.services
    for index, written in enumerate(source.spec.jwt_rules if source.spec is not None else ()):
        rule = authorization.jwt_rule(written)
        if rule.jwks and not key_sets.usable(rule.jwks):
            text = f"no key with which tokens of issuer {rule.issuer!r} could be checked; requests with its tokens are refused"
            yield conditions.error(f"spec.jwtRules[{index}].jwks", text, "UnusableKeys")
        wanted = signing_keys.source(rule)
        if wanted is None or wanted in known.keys or signing_keys.cluster(rule, known, services, snapshot.mesh.cluster_domain) is not None:
            continue
        text = f"the keys of issuer {rule.issuer!r} are not fetched from {wanted.url}; requests with its tokens are refused until they are"
        yield conditions.warning(f"spec.jwtRules[{index}]", text, "KeysNotFetched")
