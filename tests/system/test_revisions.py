"""Two control planes side by side, and a namespace that moves from one to the other and back while requests flow."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

WORKLOADS = """
apiVersion: v1
kind: Namespace
metadata: {name: moving, labels: {istio.io/rev: prod}}
---
apiVersion: v1
kind: Namespace
metadata: {name: staying, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: moving}
spec: {selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: moving}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: staying}
spec:
  containers:
  - name: curl
    image: curlimages/curl
    command: [sh, -c, 'while true; do curl -s -o /dev/null -m 10 -w "%{http_code}\\n" http://web.moving:8000/get; sleep 0.05; done']
"""


def istioctl(cluster: Cluster, *arguments: str, check: bool = True, timeout: float = 150) -> str:
    """The output of one command."""
    done = cluster.run(str(PROGRAMS / "istioctl"), *arguments, check=check, timeout=timeout)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def planes() -> Iterator[Cluster]:
    """A cluster with the revisions `default` and `canary`, the tag `prod` at the default one, and a client that never stops asking."""
    made = Cluster("revisions")
    try:
        made.up()
        istioctl(made, "install", "--set", "profile=minimal", "-y")
        istioctl(made, "install", "--set", "profile=minimal", "--revision", "canary", "-y")
        istioctl(made, "tag", "set", "prod", "--revision", "default")
        made.apply(WORKLOADS)
        made.kubectl("rollout", "status", "deployment/web", "-n", "moving", "--timeout=90s", timeout=100)
        made.kubectl("wait", "--for=condition=Ready", "pod/client", "-n", "staying", "--timeout=90s", timeout=100)
        eventually(lambda: "200" in answers(made), seconds=60, what="the first answer")
        yield made
    finally:
        made.destroy()


def answers(cluster: Cluster) -> list[str]:
    """What the client has seen since it got its first answer."""
    lines = cluster.kubectl("logs", "client", "-n", "staying", "-c", "curl").stdout.split()
    return lines[lines.index("200") :] if "200" in lines else []


def istiods(cluster: Cluster) -> set[str]:
    """The control planes that the proxies of the moving namespace are connected to, by Deployment."""
    found = json.loads(istioctl(cluster, "proxy-status", "-o", "json"))
    return {entry["istiod"].rsplit("-", 2)[0] for entry in found if entry["proxy"].endswith(".moving")}


def move(cluster: Cluster, revision: str, expected: str) -> None:
    """Point the tag at a revision, restart the workloads, and wait until only that control plane serves them."""
    istioctl(cluster, "tag", "set", "prod", "--revision", revision, "--overwrite")
    cluster.kubectl("rollout", "restart", "deployment/web", "-n", "moving")
    cluster.kubectl("rollout", "status", "deployment/web", "-n", "moving", "--timeout=120s", timeout=130)
    eventually(lambda: istiods(cluster) == {expected}, seconds=60, what=f"proxies at {expected} alone")


def test_a_namespace_moves_there_and_back(planes: Cluster) -> None:
    """The proxies connect to the revision that the tag points at, and the client gets every answer meanwhile."""
    assert istiods(planes) == {"istiod"}
    move(planes, "canary", "istiod-canary")
    move(planes, "default", "istiod")
    seen = Counter(answers(planes))
    assert set(seen) == {"200"} and seen["200"] > 20


def test_both_control_planes_are_listed(planes: Cluster) -> None:
    """`istioctl version` names both revisions, and the proxies in `proxy-status` have their istiod and version."""
    assert "(revisions canary, default)" in istioctl(planes, "version")
    rows = istioctl(planes, "proxy-status").splitlines()
    assert {row.split()[-1] for row in rows[1:]} == {"1.28.2"}


def test_tags(planes: Cluster) -> None:
    """Tags are listed with their namespaces, made once only, and taken away."""
    listed = json.loads(istioctl(planes, "tag", "list", "-o", "json"))
    assert listed == [{"tag": "prod", "revision": "default", "namespaces": ["moving"]}]
    assert "already exists" in istioctl(planes, "tag", "set", "prod", "--revision", "canary", check=False)
    assert 'no Istio revision "nobody"' in istioctl(planes, "tag", "set", "other", "--revision", "nobody", check=False)
    istioctl(planes, "tag", "set", "other", "--revision", "canary")
    assert "istio-revision-tag-other" in istioctl(planes, "tag", "generate", "other", "--revision", "canary")
    istioctl(planes, "tag", "remove", "other", "-y")
    assert [item["tag"] for item in json.loads(istioctl(planes, "tag", "list", "-o", "json"))] == ["prod"]


def test_resources_of_another_revision(planes: Cluster) -> None:
    """A resource with a revision's label is for that control plane only: the proxies of the other do not see it."""
    planes.apply(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: moving, labels: {istio.io/rev: canary}}\n"
        "spec: {hosts: [canary.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}\n"
    )
    planes.apply(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: f, namespace: moving}\n"
        "spec: {hosts: [everyone.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}\n"
    )
    shown = eventually(
        lambda: text if "everyone.example.com" in (text := istioctl(planes, "proxy-config", "clusters", "deployment/web.moving")) else "", seconds=60
    )
    assert "canary.example.com" not in shown


def test_a_revision_is_taken_away(planes: Cluster) -> None:
    """`uninstall --revision` leaves the other control plane and its proxies alone."""
    istioctl(planes, "uninstall", "--revision", "canary", "-y")
    eventually(lambda: "revisions" not in istioctl(planes, "version"), seconds=60, what="one control plane")
    assert istiods(planes) == {"istiod"}
