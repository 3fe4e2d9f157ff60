from __future__ import annotations

from tests.builders.meshobjects import istio, pod, proxy, service, snapshot_of

from varka.analysis.authorization import callers
from varka.analysis.authorization.requests import Http, Request
from varka.model import views

REQUEST = Request(port=80, http=Http())


def test_everybody_of_the_mesh() -> None:
    """Each identity with a sidecar once, with its workloads, and at the end nobody in particular."""
    plain = pod("old", "10.0.0.9", labels={"security.istio.io/tlsMode": ""})
    found = callers.known(snapshot_of(pod("a", "10.0.0.1", account="shared"), pod("b", "10.0.0.2", account="shared"), pod("c", "10.0.0.3"), plain))
    assert [(one.title, len(one.workloads)) for one in found] == [
        ("cluster.local/ns/default/sa/c", 1),
        ("cluster.local/ns/default/sa/shared", 2),
        ("anyone without a certificate", 0),
    ]


def test_what_each_may_do() -> None:
    """STRICT mutual TLS keeps out who has no certificate, and the policy all but whom it names."""
    rule = {"from": [{"source": {"principals": ["cluster.local/ns/default/sa/a"]}}]}
    policies = [istio("AuthorizationPolicy", "p", {"rules": [rule]}), istio("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}})]
    made = snapshot_of(service("web"), pod("web", "10.0.0.1"), pod("a", "10.0.0.2"), *policies)
    found = callers.decisions(made, views.view(made, proxy("web")), REQUEST)
    assert [(str(decision.verdict), decision.rule) for _, decision in found] == [("allowed", "ns[default]-policy[p]-rule[0]"), ("denied", ""), ("refused", "")]
