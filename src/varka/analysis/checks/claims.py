"""Routes by JWT claims at a gateway that validates no tokens: no request has claims there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.analysis import catalog
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message
from varka.model.discovery import hosts
from varka.resources.traffic import virtual_services as written

_PREFIX = "@request.auth.claims"


def analyze(context: Context) -> Iterable[Message]:
    """Check that a RequestAuthentication applies to every pod of the gateways of such routes."""
    gateways = {item.meta.key: item for item in context.all("Gateway")}
    policies: dict[str, list[Mapping[str, str]]] = {}
    for item in context.all("RequestAuthentication"):
        policies.setdefault(item.meta.namespace, []).append(item.spec.selector.match_labels if item.spec.selector is not None else {})
    for route in context.all("VirtualService"):
        key, path = _claim(route.spec)
        for name in route.spec.gateways if key else ():
            gateway = gateways.get(hosts.gateway(name, route.meta.namespace).removeprefix("/"))
            if gateway is None:
                continue
            for pod in context.pods(gateway.spec.selector):
                if not _authenticated(pod, policies, context.snapshot.mesh.root_namespace):
                    yield catalog.CLAIMS_WITHOUT_AUTHENTICATION.about(route, key, gateway.meta.key, pod.meta.name, path=path)


def _claim(spec: written.VirtualService) -> tuple[str, str]:
    """The first header of a match that is a claim, and its place."""
    for index, http in enumerate(spec.http):
        for number, match in enumerate(http.match):
            for field, headers in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
                for key in headers:
                    if key.startswith(_PREFIX):
                        return key, f"spec.http[{index}].match[{number}].{field}[{key}]"
    return "", ""


def _authenticated(pod: Read, policies: Mapping[str, list[Mapping[str, str]]], root: str) -> bool:
    selectors = [*policies.get(root, ()), *policies.get(pod.meta.namespace, ())]
    return any(selector.items() <= pod.meta.labels.items() for selector in selectors)
