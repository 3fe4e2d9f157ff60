"""AuthorizationPolicies and RequestAuthentications: in the model's words, and picked for a workload.

A policy says which workloads it is for by labels, or by reference to a Gateway of the Kubernetes Gateway API in its own
namespace; such a gateway's proxies carry its name as a label. References to services are for waypoints, which no mesh
of sidecars has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Generic, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from varka.model.memo import Kept
from varka.model.policies import signing_keys
from varka.model.policies.signing_keys import KeySource, KnownKeys
from varka.model.routing import visibility
from varka.model.routing.route_conversion import seconds
from varka.model.security import Action, AuthorizationPolicy, Condition, JwtRule, Operation, Rule, Source
from varka.model.services import Service
from varka.resources import Parsed, security

T = TypeVar("T")
DRY_RUN = "istio.io/dry-run"
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"


class Scoped(Struct, Generic[T], frozen=True, kw_only=True, eq=False):
    """A policy and the labels that it asks for."""

    policy: T
    selector: Mapping[str, str] = field(default_factory=dict)
    targets: frozenset[str] | None = None
    """Names of the gateways that it is attached to; None when it is attached to nothing but its selector."""

    def applies(self, namespace: str, workload_namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether the policy, of one namespace, is for a workload of another or the same."""
        if self.targets is not None:
            return namespace == workload_namespace and labels.get(GATEWAY_NAME, "") in self.targets
        return visibility.selected(dict(self.selector), labels.items())


class Policies(Struct, Generic[T], frozen=True, kw_only=True, eq=False):
    """Policies by namespace, the oldest first."""

    namespaces: Mapping[str, tuple[Scoped[T], ...]] = field(default_factory=dict)
    root_namespace: str = ""

    def of(self, namespace: str, labels: Mapping[str, str]) -> tuple[T, ...]:
        """Those for a workload: the root namespace's first, then its own namespace's."""
        return tuple(
            scoped.policy
            for name in dict.fromkeys((self.root_namespace, namespace))
            for scoped in self.namespaces.get(name, ())
            if scoped.applies(name, namespace, labels)
        )

    def inputs(self, namespace: str) -> tuple[object, ...]:
        """The objects that decide about a namespace, for a memo."""
        return (self.namespaces.get(self.root_namespace, ()), self.namespaces.get(namespace, ()))


def index_policies(sources: Iterable[Parsed[security.AuthorizationPolicy]], root_namespace: str, kept: Kept) -> Policies[AuthorizationPolicy]:
    """File all AuthorizationPolicies."""
    found: dict[str, list[Scoped[AuthorizationPolicy]]] = {}
    for source in sorted(sources, key=lambda source: source.meta.age_order):
        if source.spec is not None:
            found.setdefault(source.meta.namespace, []).append(kept.get(source.meta.key, (source,), partial(_scoped_policy, source)))
    return Policies(namespaces={name: kept.tuple((name,), tuple(items)) for name, items in found.items()}, root_namespace=root_namespace)


class Requests(Struct, frozen=True, kw_only=True, eq=False):
    """RequestAuthentications, and where the keys of their tokens are served."""

    policies: Policies[tuple[JwtRule, ...]]
    sources: frozenset[KeySource] = frozenset()


def index_requests(sources: Iterable[Parsed[security.RequestAuthentication]], root_namespace: str, kept: Kept) -> Requests:
    """File all RequestAuthentications."""
    found: dict[str, list[Scoped[tuple[JwtRule, ...]]]] = {}
    wanted: set[KeySource] = set()
    for source in sorted(sources, key=lambda source: source.meta.age_order):
        if source.spec is None:
            continue
        scoped = kept.get(source.meta.key, (source,), partial(_scoped_rules, source))
        found.setdefault(source.meta.namespace, []).append(scoped)
        wanted.update(fetched for rule in scoped.policy if (fetched := signing_keys.source(rule)) is not None)
    policies = Policies(namespaces={name: kept.tuple((name,), tuple(items)) for name, items in found.items()}, root_namespace=root_namespace)
    return Requests(policies=policies, sources=frozenset(wanted))


def jwt_rules(requests: Requests, namespace: str, labels: Mapping[str, str]) -> tuple[JwtRule, ...]:
    """The rules for a workload, by issuer, as they are written."""
    found = (rule for rules in requests.policies.of(namespace, labels) for rule in rules)
    return tuple(sorted(found, key=lambda rule: rule.issuer))


def with_keys(rule: JwtRule, known: KnownKeys, services: Iterable[Service], domain: str) -> JwtRule:
    """The rule with its keys, or with the service that the proxy is to fetch them from."""
    wanted = signing_keys.source(rule)
    if wanted is None:
        return rule
    place = signing_keys.cluster(rule, known, services, domain)
    return replace(rule, fetch_from=place) if place is not None else replace(rule, jwks=known.keys.get(wanted, ""))


def _selector(spec: security.AuthorizationPolicy | security.RequestAuthentication) -> dict[str, str]:
    return dict(spec.selector.match_labels) if spec.selector is not None else {}


def _targets(spec: security.AuthorizationPolicy | security.RequestAuthentication) -> frozenset[str] | None:
    references = [*([spec.target_ref] if spec.target_ref is not None else []), *spec.target_refs]
    if not references:
        return None
    return frozenset(one.name for one in references if (one.group, one.kind) == ("gateway.networking.k8s.io", "Gateway"))


def _scoped_policy(source: Parsed[security.AuthorizationPolicy]) -> Scoped[AuthorizationPolicy]:
    assert source.spec is not None
    return Scoped(policy=policy(source), selector=_selector(source.spec), targets=_targets(source.spec))


def _scoped_rules(source: Parsed[security.RequestAuthentication]) -> Scoped[tuple[JwtRule, ...]]:
    assert source.spec is not None
    rules = tuple(jwt_rule(rule) for rule in source.spec.jwt_rules)
    return Scoped(policy=rules, selector=_selector(source.spec), targets=_targets(source.spec))


def policy(source: Parsed[security.AuthorizationPolicy]) -> AuthorizationPolicy:
    """One AuthorizationPolicy as it is meant."""
    spec, meta = source.spec, source.meta
    assert spec is not None
    return AuthorizationPolicy(
        name=meta.name,
        namespace=meta.namespace,
        action=Action(spec.action),
        rules=tuple(_rule(rule, meta.namespace) for rule in spec.rules),
        provider=spec.provider.name if spec.provider is not None else "",
        dry_run=meta.annotations.get(DRY_RUN, "").lower() in {"true", "t", "1"},
    )


def _rule(rule: security.Rule, namespace: str) -> Rule:
    return Rule(
        sources=tuple(_source(item.source, namespace) for item in rule.from_ if item.source is not None),
        operations=tuple(_operation(item.operation) for item in rule.to if item.operation is not None),
        conditions=tuple(Condition(key=item.key, values=item.values, not_values=item.not_values) for item in rule.when),
    )


def _source(given: security.Source, namespace: str) -> Source:
    return Source(
        principals=given.principals,
        not_principals=given.not_principals,
        request_principals=given.request_principals,
        not_request_principals=given.not_request_principals,
        namespaces=given.namespaces,
        not_namespaces=given.not_namespaces,
        service_accounts=tuple(_account(name, namespace) for name in given.service_accounts),
        not_service_accounts=tuple(_account(name, namespace) for name in given.not_service_accounts),
        ip_blocks=given.ip_blocks,
        not_ip_blocks=given.not_ip_blocks,
        remote_ip_blocks=given.remote_ip_blocks,
        not_remote_ip_blocks=given.not_remote_ip_blocks,
    )


def _account(name: str, namespace: str) -> str:
    return name if "/" in name else f"{namespace}/{name}"


def _operation(given: security.Operation) -> Operation:
    return Operation(
        hosts=given.hosts,
        not_hosts=given.not_hosts,
        ports=given.ports,
        not_ports=given.not_ports,
        methods=given.methods,
        not_methods=given.not_methods,
        paths=given.paths,
        not_paths=given.not_paths,
    )


def jwt_rule(given: security.JwtRule) -> JwtRule:
    """One issuer as it is meant."""
    return JwtRule(
        issuer=given.issuer,
        audiences=given.audiences,
        jwks_uri=given.jwks_uri or given.jwks_uri_old,
        jwks=given.jwks,
        from_headers=tuple((header.name, header.prefix) for header in given.from_headers),
        from_params=given.from_params,
        from_cookies=given.from_cookies,
        output_payload_to_header=given.output_payload_to_header,
        forward_original_token=given.forward_original_token,
        output_claim_to_headers=tuple((item.header, item.claim) for item in given.output_claim_to_headers),
        timeout=seconds(given.timeout),
        space_delimited_claims=given.space_delimited_claims,
    )
