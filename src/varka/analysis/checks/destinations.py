"""DestinationRules: servers that nobody checks, hosts that nobody has, subsets without pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.analysis import catalog
from varka.analysis.checks import routes
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message
from varka.model.discovery import hosts
from varka.model.services import Service
from varka.resources.traffic import destination_rules as written

_CHECKED = {"SIMPLE", "MUTUAL"}
_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")
_NODE = "kubernetes.io/hostname"


def ca_certificates(context: Context) -> Iterable[Message]:
    """Check that TLS to a server says how the server is verified."""
    for rule in context.all("DestinationRule"):
        policy = rule.spec.traffic_policy
        if policy is None:
            continue
        selective = rule.spec.workload_selector is not None
        if _unverified(policy.tls, selective):
            path = "spec.trafficPolicy.tls.mode"
            yield catalog.NO_CA_DESTINATION.about(rule, rule.meta.key, rule.meta.namespace, policy.tls.mode, rule.spec.host, path=path)
        for index, port in enumerate(policy.port_level_settings):
            if _unverified(port.tls, selective):
                number = port.port.number if port.port is not None else ""
                path = f"spec.trafficPolicy.portLevelSettings[{index}].tls.mode"
                yield catalog.NO_CA_PORT.about(rule, rule.meta.key, rule.meta.namespace, port.tls.mode, rule.spec.host, number, path=path)


def _unverified(tls: written.ClientTls | None, selective: bool) -> bool:
    """A credentialName counts for sidecars only where a selector picks them."""
    if tls is None or tls.mode not in _CHECKED or tls.insecure_skip_verify:
        return False
    return not tls.ca_certificates and not (tls.credential_name and selective)


def selected(context: Context) -> Iterable[Message]:
    """Check that hosts are services and that subsets have pods."""
    nodes = {node.meta.name: node.meta.labels for node in context.all("Node")}
    for rule in context.all("DestinationRule"):
        host = hosts.qualified(rule.spec.host, rule.meta.namespace, context.snapshot.mesh.cluster_domain)
        seeing = {rule.meta.namespace, *(item for item in rule.spec.export_to if item not in {".", "*", "~"})}
        service = routes.find(context, host, sorted(seeing))
        if service is not None:
            yield from _subsets(context, rule, service, nodes)
        elif not _reaches_services(context, host):
            yield catalog.UNKNOWN_DESTINATION_HOST.about(rule, rule.spec.host, path="spec.host")


def _reaches_services(context: Context, host: str) -> bool:
    """A wildcard stands for the services below it."""
    return host.startswith("*") and any(hosts.covers(host, known) for known in context.snapshot.registry.by_host)


def _subsets(context: Context, rule: Read, service: Service, nodes: Mapping[str, Mapping[str, str]]) -> Iterable[Message]:
    """Pods of the service itself; where its selector has none, as in files that show a part only, any pods with the subset's labels do."""
    kubernetes = service.registry == "Kubernetes"
    own = context.pods(service.selector, service.namespace) if service.selector and kubernetes else []
    labels = [_augmented(pod, nodes).items() for pod in own or context.pods({})]
    basis = {} if kubernetes else dict(service.selector)
    for index, subset in enumerate(rule.spec.subsets):
        wanted = {**basis, **subset.labels}.items()
        if not any(wanted <= carried for carried in labels):
            yield catalog.SUBSET_SELECTS_NO_PODS.about(rule, subset.name, path=f"spec.subsets[{index}].name")


def _augmented(pod: Read, nodes: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """A pod's labels, and those that the mesh gives its endpoint after the node."""
    name = pod.spec.spec.node_name
    if name not in nodes:
        return dict(pod.meta.labels)
    place = {key: nodes[name][key] for key in _TOPOLOGY if key in nodes[name]}
    return {**pod.meta.labels, **place, _NODE: name}
