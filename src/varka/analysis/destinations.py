"""DestinationRules: servers that nobody checks, hosts that nobody has, subsets without pods."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import messages
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message
from varka.model.discovery import hosts
from varka.model.routing import references, visibility
from varka.resources.traffic import destination_rules as written

_CHECKED = {"SIMPLE", "MUTUAL"}


def ca_certificates(context: Context) -> Iterable[Message]:
    """Check that TLS to a server says how the server is verified."""
    for rule in context.all("DestinationRule"):
        policy = rule.spec.traffic_policy
        if policy is None:
            continue
        selective = rule.spec.workload_selector is not None
        if _unverified(policy.tls, selective):
            yield messages.NO_CA_DESTINATION.about(rule, rule.meta.name, rule.meta.namespace, policy.tls.mode, rule.spec.host, path="spec.trafficPolicy.tls")
        for index, port in enumerate(policy.port_level_settings):
            if _unverified(port.tls, selective):
                number = port.port.number if port.port is not None else ""
                path = f"spec.trafficPolicy.portLevelSettings[{index}].tls"
                yield messages.NO_CA_PORT.about(rule, rule.meta.name, rule.meta.namespace, port.tls.mode, rule.spec.host, number, path=path)


def _unverified(tls: written.ClientTls | None, selective: bool) -> bool:
    """A credentialName counts for sidecars only where a selector picks them."""
    if tls is None or tls.mode not in _CHECKED or tls.insecure_skip_verify:
        return False
    return not tls.ca_certificates and not (tls.credential_name and selective)


def selected(context: Context) -> Iterable[Message]:
    """Check that hosts are services and that subsets have pods."""
    rules = {(rule.namespace, rule.name): rule for rule in context.snapshot.destination_rules.all}
    for source in context.all("DestinationRule"):
        rule = rules.get((source.meta.namespace, source.meta.name))
        host = hosts.qualified(source.spec.host, source.meta.namespace, context.snapshot.mesh.cluster_domain)
        if not references.known(context.snapshot, host):
            yield messages.UNKNOWN_DESTINATION_HOST.about(source, source.spec.host, path="spec.host")
        elif rule is not None:
            yield from _subsets(context, source, host)


def _subsets(context: Context, source: Read, host: str) -> Iterable[Message]:
    service = context.snapshot.registry.find(host)
    if service is None or not service.selector or not context.all("Pod"):
        return
    pods = context.pods(service.selector, service.namespace)
    for index, subset in enumerate(source.spec.subsets):
        if not any(visibility.selected(subset.labels, pod.meta.labels.items()) for pod in pods):
            yield messages.SUBSET_SELECTS_NO_PODS.about(source, subset.name, path=f"spec.subsets[{index}].labels")
