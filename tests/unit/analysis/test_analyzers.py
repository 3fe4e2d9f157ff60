from __future__ import annotations

from tests.builders.meshobjects import istio, pod, service

from varka.analysis import analyzers


def test_namespace_without_injection() -> None:
    """A namespace that does not ask for proxies is told how to, and a system namespace is not."""
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("default", "kube-system")]
    assert [item.line for item in analyzers.analyze(made)] == [
        "Info [IST0102] (Namespace default) The namespace is not enabled for Istio injection. "
        "Run 'kubectl label namespace default istio-injection=enabled' to enable it, "
        "or 'kubectl label namespace default istio-injection=disabled' to explicitly mark it as not needing injection."
    ]


def test_pod_without_proxy() -> None:
    """In a namespace with injection a pod without a proxy is told, unless it does not want one."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"istio-injection": "enabled"}}}
    refusing = pod("no", "10.0.0.2", labels={"sidecar.istio.io/inject": "false"})
    proxied = pod("yes", "10.0.0.3", containers=[{"name": "app"}, {"name": "istio-proxy"}])
    found = analyzers.analyze([namespace, pod("web", "10.0.0.1"), refusing, proxied])
    assert [(item.code, item.resource) for item in found] == [("IST0103", "Pod default/web-1")]


def test_references() -> None:
    """Unknown gateways, hosts and subsets are errors about the VirtualService."""
    rules = [
        {"match": [{"uri": {"exact": "/"}}], "route": [{"destination": {"host": "nobody"}}]},
        {"route": [{"destination": {"host": "web", "subset": "v9"}}]},
    ]
    found = analyzers.analyze([service("web"), istio("VirtualService", "v", {"hosts": ["web"], "gateways": ["gw"], "http": rules})])
    assert [item.line for item in found] == [
        'Error [IST0101] (VirtualService default/v) Referenced gateway not found: "gw"',
        'Error [IST0101] (VirtualService default/v) Referenced host not found: "nobody"',
        'Error [IST0101] (VirtualService default/v) Referenced host+subset in destinationrule not found: "web+v9"',
        "Warning [IST0132] (VirtualService default/v) one or more host [web] defined in VirtualService default/v not found in Gateway default/gw.",
    ]


def test_schema() -> None:
    """What a single resource does wrong is a message with the place."""
    made = [service("web"), istio("DestinationRule", "d", {"host": "web", "subsets": [{"name": "a"}, {"name": "a"}]})]
    found = analyzers.analyze(made, "schema.ValidationAnalyzer.DestinationRule")
    assert [item.line for item in found] == [
        "Error [IST0106] (DestinationRule default/d) Schema validation error: spec.subsets[1].name: duplicate subset names: a"
    ]


def test_two_claims_to_a_host() -> None:
    """VirtualServices for sidecars with one host are told of each other."""
    spec = {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}
    found = analyzers.analyze([service("web"), istio("VirtualService", "a", spec), istio("VirtualService", "b", spec)])
    assert [(item.code, item.resource) for item in found] == [("IST0109", "VirtualService default/a"), ("IST0109", "VirtualService default/b")]


def test_worst_first() -> None:
    """Errors come before warnings, warnings before notes."""
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
        istio("AuthorizationPolicy", "a", {"selector": {"matchLabels": {"app": "x"}}}),
        istio("VirtualService", "v", {"hosts": ["a.b"], "http": [{"route": [{"destination": {"host": "nobody"}}]}]}),
    ]
    assert [item.code for item in analyzers.analyze(objects)] == ["IST0101", "IST0127", "IST0102"]
