"""DestinationRules merged by host, and found for a service in the order of precedence.

Rules of one namespace for one host, one scope and one selector become one: subsets of all, the traffic policy of the
oldest that has one. A client looks in its own namespace, then in the service's, then in the root namespace; in each the
most specific host wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from varka.model.discovery import hosts
from varka.model.memo import Kept
from varka.model.policies import policy_conversion
from varka.model.routing import visibility
from varka.model.services import Hostname, Service
from varka.model.traffic import DestinationRule, Subset, TrafficPolicy
from varka.model.view import MeshSettings
from varka.resources import Parsed
from varka.resources.traffic import destination_rules as written

Source = Parsed[written.DestinationRule]


class Local(Struct, frozen=True, kw_only=True, eq=False):
    """The rules of one namespace; wildcards are sorted with the longest first. Several of one host: with selectors first."""

    exact: Mapping[Hostname, tuple[DestinationRule, ...]] = field(default_factory=dict)
    wildcards: tuple[tuple[Hostname, tuple[DestinationRule, ...]], ...] = ()

    def find(self, host: Hostname, client: str, labels: Mapping[str, str]) -> DestinationRule | None:
        """The rule for a host that a client of a namespace sees."""
        candidates = [self.exact[host]] if host in self.exact else []
        candidates += [rules for pattern, rules in self.wildcards if hosts.covers(pattern, host)]
        for rules in candidates:
            seen = [rule for rule in rules if visibility.visible(rule.export_to, client)]
            chosen = next((rule for rule in seen if _selects(rule, client, labels)), None)
            if chosen is not None:
                return chosen
        return None


class DestinationRules(Struct, frozen=True, kw_only=True, eq=False):
    """All rules by namespace, and those of them that have a selector."""

    namespaces: Mapping[str, Local] = field(default_factory=dict)
    selective: tuple[DestinationRule, ...] = ()
    root_namespace: str = ""
    all: tuple[DestinationRule, ...] = ()

    def find(self, service: Service, client: str, labels: Mapping[str, str] | None = None) -> DestinationRule | None:
        """The rule that a client in a namespace, with these labels, uses for a service."""
        order = (client, service.namespace, self.root_namespace)
        if client == self.root_namespace:
            order = (service.namespace, client, client)
        for namespace in dict.fromkeys(order):
            local = self.namespaces.get(namespace)
            found = local.find(service.hostname, client, labels or {}) if local is not None else None
            if found is not None:
                return found
        return None

    def for_services(self, services: Iterable[Service], client: str, labels: Mapping[str, str]) -> dict[Hostname, DestinationRule]:
        """The rules of all services that have one."""
        if not self.all:
            return {}
        found = ((service.hostname, self.find(service, client, labels)) for service in services)
        return {host: rule for host, rule in found if rule is not None}

    def selecting(self, namespace: str, labels: Mapping[str, str]) -> tuple[DestinationRule, ...]:
        """The rules with a selector that picks a workload."""
        return tuple(rule for rule in self.selective if rule.namespace == namespace and _selects(rule, namespace, labels))


def _selects(rule: DestinationRule, client: str, labels: Mapping[str, str]) -> bool:
    if not rule.workload_selector:
        return True
    return rule.namespace == client and visibility.selected(dict(rule.workload_selector), labels.items())


def index(sources: Iterable[Source], mesh: MeshSettings, kept: Kept) -> DestinationRules:
    """Convert, merge and file all rules; rules that did not change stay the same objects."""
    groups: dict[tuple[object, ...], list[DestinationRule]] = {}
    for source in sorted((source for source in sources if source.spec is not None), key=lambda source: source.meta.age_order):
        rule = kept.get(("rule", source.meta.key), (source, mesh), partial(resolve, source, mesh))
        key = (rule.namespace, rule.host, rule.export_to, tuple(sorted(rule.workload_selector.items())))
        groups.setdefault(key, []).append(rule)
    merged = [kept.get(("merged", key), tuple(rules), partial(merge, tuple(rules))) for key, rules in groups.items()]
    return DestinationRules(
        namespaces={name: _local(rules) for name, rules in _by_namespace(merged).items()},
        selective=tuple(rule for rule in merged if rule.workload_selector),
        root_namespace=mesh.root_namespace,
        all=tuple(merged),
    )


def _by_namespace(rules: Iterable[DestinationRule]) -> dict[str, list[DestinationRule]]:
    found: dict[str, list[DestinationRule]] = {}
    for rule in rules:
        found.setdefault(rule.namespace, []).append(rule)
    return found


def _local(rules: Iterable[DestinationRule]) -> Local:
    by_host: dict[Hostname, list[DestinationRule]] = {}
    for rule in sorted(rules, key=lambda rule: not rule.workload_selector):
        by_host.setdefault(rule.host, []).append(rule)
    wild = sorted((host for host in by_host if host.startswith("*")), key=lambda host: (hosts.specificity(host), host))
    return Local(
        exact={host: tuple(found) for host, found in by_host.items() if not host.startswith("*")},
        wildcards=tuple((host, tuple(by_host[host])) for host in wild),
    )


def merge(rules: tuple[DestinationRule, ...]) -> DestinationRule:
    """One rule out of several for the same host; the oldest comes first and wins."""
    first = rules[0]
    if len(rules) == 1:
        return first
    subsets: dict[str, Subset] = {}
    for rule in rules:
        for subset in rule.subsets:
            subsets.setdefault(subset.name, subset)
    policy = next((rule.policy for rule in rules if rule.policy != TrafficPolicy()), TrafficPolicy())
    return replace(first, policy=policy, subsets=tuple(subsets.values()))


def resolve(source: Source, mesh: MeshSettings) -> DestinationRule:
    """One rule as it is meant."""
    spec, meta = source.spec, source.meta
    assert spec is not None
    return DestinationRule(
        name=meta.name,
        namespace=meta.namespace,
        host=hosts.qualified(spec.host, meta.namespace, mesh.cluster_domain),
        policy=policy_conversion.traffic_policy(spec.traffic_policy),
        subsets=tuple(
            Subset(name=subset.name, labels=dict(subset.labels), policy=policy_conversion.traffic_policy(subset.traffic_policy)) for subset in spec.subsets
        ),
        workload_selector=dict(spec.workload_selector.match_labels) if spec.workload_selector is not None else {},
        export_to=visibility.export_to(spec.export_to, meta.namespace, mesh.default_export_to_destination_rule),
        created=meta.created,
    )
