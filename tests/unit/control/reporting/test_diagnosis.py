from __future__ import annotations

import pytest
from tests.builders.meshobjects import istio, service, snapshot_of

from varka import resources
from varka.analysis import analyzers
from varka.analysis.context import Surroundings
from varka.control.reporting import diagnosis


def _diagnose(*objects: dict[str, object]) -> tuple[dict[object, list[str]], dict[object, list[str]]]:
    references, messages = diagnosis.diagnose([resources.parse(one) for one in objects], snapshot_of(*objects), Surroundings())
    return {ref: [one.text for one in found] for ref, found in references.items()}, {ref: [one.code for one in found] for ref, found in messages.items()}


def test_findings_by_resource() -> None:
    """References and messages of analyzers, each under the resource that they are about."""
    route = istio("VirtualService", "v", {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "none"}}]}]})
    rule = istio("DestinationRule", "d", {"host": "web", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}})
    references, messages = _diagnose(service("web"), route, rule)
    assert references == {("VirtualService", "default", "v"): ["spec.http[0].route: referenced host not found: 'none.default.svc.cluster.local'"]}
    assert messages == {("VirtualService", "default", "v"): ["IST0101"], ("DestinationRule", "default", "d"): ["IST0128"]}


def test_secrets_are_looked_at() -> None:
    """They come as the API lists them, without kind."""
    server = {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["*"], "tls": {"mode": "SIMPLE", "credentialName": "c"}}
    objects = [istio("Gateway", "g", {"selector": {"app": "gw"}, "servers": [server]})]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gw", "namespace": "default", "labels": {"app": "gw"}}, "spec": {"containers": []}}
    secret = {"metadata": {"name": "c", "namespace": "default"}, "data": {}}
    parsed = [resources.parse(one) for one in (*objects, pod)]
    _, messages = diagnosis.diagnose(parsed, snapshot_of(*objects), Surroundings(), [secret])
    assert "IST0161" in [one.code for one in messages["Gateway", "default", "g"]]


@pytest.mark.parametrize("name", diagnosis.NAMES)
def test_only_analyzers_of_istios_kinds(name: str) -> None:
    """Those about pods, namespaces and Services write nothing that could be a resource's status, and what validation says is not said again."""
    assert name in analyzers.ANALYZERS
    assert name.partition(".")[0] not in {"schema", "injection", "annotations", "conditions", "service", "deployment", "webhook"}
