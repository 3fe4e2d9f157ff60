"""Fields and kinds that Istio has given up."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog
from varka.analysis.context import Context
from varka.analysis.messages import Message

_REMOVED = frozenset({"ClusterRbacConfig", "RbacConfig", "ServiceRole", "ServiceRoleBinding"})
"""Of the group `rbac.istio.io`."""


def analyze(context: Context) -> Iterable[Message]:
    """Check VirtualServices and Sidecars for deprecated fields, and the definitions of kinds for removed ones."""
    for route in context.all("VirtualService"):
        for index, http in enumerate(route.spec.http):
            delay = http.fault.delay if http.fault is not None else None
            if delay is not None and (delay.percent or 0) > 0:
                text = "HTTPRoute.fault.delay.percent is deprecated; use HTTPRoute.fault.delay.percentage"
                yield catalog.DEPRECATED.about(route, text, path=f"spec.http[{index}].fault.delay.percent")
    for sidecar in context.all("Sidecar"):
        policy = sidecar.spec.outbound_traffic_policy
        if policy is not None and policy.egress_proxy is not None:
            yield catalog.DEPRECATED.about(sidecar, "OutboundTrafficPolicy.EgressProxy ignored", path="spec.outboundTrafficPolicy.egressProxy")
    for definition in context.all("CustomResourceDefinition"):
        group, kind = definition.spec.spec.group, definition.spec.spec.names.kind
        if group == "rbac.istio.io" and kind in _REMOVED:
            yield catalog.DEPRECATED.about(definition, f"Custom resource type {group} {kind} is removed", path="spec.names.kind")
