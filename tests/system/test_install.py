"""Installations other than the default one, from a file and from the command line, and their end."""

from __future__ import annotations

from collections.abc import Callable

import yaml
from tests.system.clusters import PROGRAMS, Cluster, eventually

ISTIOCTL = str(PROGRAMS / "istioctl")
OPERATOR = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profile: minimal
  meshConfig:
    accessLogEncoding: JSON
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""


def names(cluster: Cluster, kind: str, *arguments: str) -> set[str]:
    """Names of all objects of a kind."""
    return {one["metadata"]["name"] for one in cluster.get(kind, *arguments)["items"]}


def test_profiles_files_and_the_end(fresh_cluster: Callable[[str], Cluster]) -> None:
    """A file with a profile and settings, `--set` on top, another profile over it, and `uninstall --purge` leave just what they say."""
    cluster = fresh_cluster("install")
    cluster.up()
    file = cluster.home / "operator.yaml"
    file.write_text(OPERATOR)
    before = names(cluster, "clusterroles")
    cluster.run(ISTIOCTL, "install", "-y", "-f", str(file), "--set", "meshConfig.trustDomain=example.org", timeout=150)
    assert names(cluster, "deployments", "-n", "istio-system") == {"istiod"}
    mesh = yaml.safe_load(cluster.get("configmap", "istio", "-n", "istio-system")["data"]["mesh"])
    assert (mesh["accessLogEncoding"], mesh["outboundTrafficPolicy"], mesh["trustDomain"]) == ("JSON", {"mode": "REGISTRY_ONLY"}, "example.org")
    eventually(lambda: cluster.get("configmap", "istio-ca-root-cert", "-n", "default", "--ignore-not-found=false")["data"], what="the root certificate")
    cluster.run(ISTIOCTL, "install", "-y", "--set", "profile=demo", timeout=150)
    assert names(cluster, "deployments", "-n", "istio-system") == {"istiod", "istio-ingressgateway", "istio-egressgateway"}
    refused = cluster.run(ISTIOCTL, "install", "-y", "--set", "profile=nothing", check=False)
    assert refused.returncode != 0 and "nothing" in refused.stderr
    cluster.run(ISTIOCTL, "uninstall", "--purge", "-y", timeout=150)
    assert names(cluster, "deployments", "-n", "istio-system") == set()
    for kind in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
        assert names(cluster, kind) == set()
    assert {name for name in names(cluster, "clusterroles") - before if "istio" in name} == set()
