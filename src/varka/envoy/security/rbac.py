"""AuthorizationPolicies as Envoy's RBAC filters, for HTTP requests and for TCP connections.

One filter an action, in the order of evaluation: CUSTOM asks someone else (`ext_authz`), AUDIT only marks, DENY refuses before ALLOW is asked, and once there
is any ALLOW policy whatever none of them matches is refused. Policies in dry run go into the filter's shadow rules,
which are counted and decide nothing. Rules keep Istio's names (`ns[foo]-policy[name]-rule[0]`): they appear in the access
log as `rbac_access_denied_matched_policy[…]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_pb2

from varka.envoy import messages
from varka.envoy.security import ext_authz, rbac_rules
from varka.model.policies import trust_domains
from varka.model.policies.trust_domains import Domains
from varka.model.security import Action, AuthorizationPolicy
from varka.model.view import MeshSettings

HTTP_FILTER = "envoy.filters.http.rbac"
NETWORK_FILTER = "envoy.filters.network.rbac"
ACTIONS = {Action.AUDIT: rbac_pb2.RBAC.LOG, Action.DENY: rbac_pb2.RBAC.DENY, Action.ALLOW: rbac_pb2.RBAC.ALLOW}
"""In order of evaluation."""
TCP_STATS = "tcp."


def http_filters(policies: Iterable[AuthorizationPolicy], mesh: MeshSettings) -> list[Any]:
    """The HTTP filters that enforce the policies, in order; none if there is nothing to enforce."""
    found, domains = tuple(policies), trust_domains.of(mesh)
    return [
        http_connection_manager_pb2.HttpFilter(name=name, typed_config=messages.packed(config))
        for name, config in [
            *_custom(found, domains, tcp=False),
            *((HTTP_FILTER, http_pb2.RBAC(**fields)) for fields in _filters(found, domains, tcp=False)),
        ]
    ]


def network_filters(policies: Iterable[AuthorizationPolicy], mesh: MeshSettings) -> list[Any]:
    """The same for connections whose bytes are not HTTP."""
    found, domains = tuple(policies), trust_domains.of(mesh)
    return [
        listener_components_pb2.Filter(name=name, typed_config=messages.packed(config))
        for name, config in [
            *_custom(found, domains, tcp=True),
            *((NETWORK_FILTER, network_pb2.RBAC(stat_prefix=TCP_STATS, **fields)) for fields in _filters(found, domains, tcp=True)),
        ]
    ]


def _custom(policies: tuple[AuthorizationPolicy, ...], domains: Domains, tcp: bool) -> list[tuple[str, Any]]:
    """The filters of CUSTOM policies, asked before all others; those in dry run ask nobody."""
    asking = [policy for policy in policies if policy.action is Action.CUSTOM and not policy.dry_run]
    if not asking:
        return []
    rules = _rules(asking, rbac_pb2.RBAC.DENY, domains, tcp, prefix=ext_authz.RULE_PREFIX)
    authorizer = ext_authz.chosen(asking)
    if authorizer is None:
        named = {f"{name}{ext_authz.REFUSED_SUFFIX}": rules.policies[name] for name in rules.policies}
        refusing = rbac_pb2.RBAC(action=rbac_pb2.RBAC.DENY, policies=named)
        return [(NETWORK_FILTER, network_pb2.RBAC(stat_prefix=TCP_STATS, rules=refusing))] if tcp else [(HTTP_FILTER, http_pb2.RBAC(rules=refusing))]
    shadow = {"shadow_rules": rules, "shadow_rules_stat_prefix": ext_authz.SHADOW_PREFIX}
    if not tcp:
        return [(HTTP_FILTER, http_pb2.RBAC(**shadow)), (ext_authz.HTTP_FILTER, ext_authz.http(authorizer, HTTP_FILTER))]
    if not authorizer.grpc:
        return []
    tried = network_pb2.RBAC(stat_prefix=TCP_STATS, **shadow)
    return [(NETWORK_FILTER, tried), (ext_authz.NETWORK_FILTER, ext_authz.network(authorizer, NETWORK_FILTER))]


def _filters(policies: tuple[AuthorizationPolicy, ...], domains: Domains, tcp: bool) -> list[dict[str, Any]]:
    result = []
    for action, log_or_decide in ACTIONS.items():
        enforced = [policy for policy in policies if policy.action is action and not policy.dry_run]
        tried = [policy for policy in policies if policy.action is action and policy.dry_run]
        if not enforced and not tried:
            continue
        fields: dict[str, Any] = {}
        if enforced:
            fields["rules"] = _rules(enforced, log_or_decide, domains, tcp)
        if tried:
            fields["shadow_rules"] = _rules(tried, log_or_decide, domains, tcp)
        denies = bool(tried) and action is Action.DENY
        fields["shadow_rules_stat_prefix"] = "istio_dry_run_deny_" if denies else "istio_dry_run_allow_"
        result.append(fields)
    return result


def _rules(policies: list[AuthorizationPolicy], action: int, domains: Domains, tcp: bool, prefix: str = "") -> Any:
    """An ALLOW filter whose rules all fell away on TCP is kept: it refuses everything, as no rule matches."""
    named: dict[str, Any] = {}
    for policy in policies:
        stem = f"{prefix}ns[{policy.namespace}]-policy[{policy.name}]-rule"
        if not policy.rules:
            named[f"{stem}[0]"] = rbac_rules.nobody()
        for index, rule in enumerate(policy.rules):
            built = rbac_rules.of_rule(policy, rule, domains, tcp)
            if built is not None:
                named[f"{stem}[{index}]"] = built
    return rbac_pb2.RBAC(action=action, policies=named)
