"""The forms of kubectl's commands that people type, by the real kubectl against a running cluster: what is shown, and how it ends."""

from __future__ import annotations

import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

SPACE = "forms"
MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, version: v1}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}
      - {name: beside, image: busybox, command: [sh, -c, "echo began; while true; do sleep 1; echo tick; done"]}
"""
EXTRA = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra, labels: {app: web}}\ndata: {a: b}\n"
POD = r"web-[a-z0-9]+-[a-z0-9]{5}"


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Iterator[Cluster]:
    """Two pods of two containers in a namespace of their own."""
    cluster.kubectl("create", "namespace", SPACE)
    cluster.kubectl("apply", "-n", SPACE, "-f", "-", stdin=MANIFEST)
    cluster.kubectl("wait", "-n", SPACE, "--for=condition=Ready", "pod", "--all", "--timeout=60s", timeout=70)
    yield cluster
    cluster.kubectl("delete", "namespace", SPACE, "--timeout=60s", check=False, timeout=70)


def ask(cluster: Cluster, line: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """One command line in the namespace; quoted words stay together."""
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)]
    return cluster.kubectl("-n", SPACE, *words, check=False, stdin=stdin)


@pytest.mark.parametrize(
    ("line", "shows"),
    [
        ("get pods -o wide", rf"NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\n{POD} +2/2 +Running +0 +\S+ +10\.244\.\S+ +\S+ +<none> +<none>\n"),
        ("get deployment web -o yaml", r"^apiVersion: apps/v1\nkind: Deployment\nmetadata:\n(.*\n)*spec:\n(.*\n)*status:\n"),
        ("get pods -o jsonpath={.items[*].spec.containers[*].name}", r"^web beside web beside$"),
        ("get pods -o custom-columns=N:.metadata.labels.version,P:.status.phase", r"^N +P\nv1 +Running\nv1 +Running\n$"),
        ("get pods --show-labels", rf"LABELS\n{POD} .* app=web,pod-template-hash=\w+,version=v1\n"),
        ("get pods -l 'version in (v1,v2)' --field-selector=status.phase=Running --no-headers", rf"^({POD} .*\n){{2}}$"),
        ("get pods --field-selector=status.phase=Failed", r"^$"),
        ("get pods -A -l app=web", rf"^NAMESPACE +NAME .*\n({SPACE} +{POD} .*\n){{2}}$"),
        ("get svc,deploy -l app=web", r"service/web +ClusterIP +10\.96\.\S+ +<none> +8000/TCP(.*\n)*deployment\.apps/web +2/2 +2 +2 "),
        ("get crd", r"gateways\.gateway\.networking\.k8s\.io +\d{4}-\d\d-\d\dT"),
        ("describe pod -l app=web", r"Name: +web-(.*\n)*Containers:\n  web:\n(.*\n)*  beside:\n(.*\n)* +Ready +True *\n"),
        ("describe rs -l app=web", r"Replicas: +2 current / 2 desired\n(.*\n)*Events:\n(.*\n)* +Normal +SuccessfulCreate +\S+ +replicaset-controller +Created pod: web-"),
        ("describe svc web", r"Endpoints: +10\.244\.\S+:8080,10\.244\.\S+:8080\n"),
        ("exec deploy/web -c beside -- sh -c 'echo out'", r"^out\n$"),
        ("logs -l app=web -c beside --tail=1", r"^(tick\n|began\n){2}$"),
        ("logs deploy/web -c beside --since=1h", r"began\n"),
        ("auth can-i create deployments", r"^yes\n$"),
        ("patch deployment web --type merge -p '{\"metadata\":{\"annotations\":{\"note\":\"x\"}}}'", r"^deployment\.apps/web patched\n$"),
        ("rollout status deployment/web --timeout=40s", r'^deployment "web" successfully rolled out\n$'),
        ("delete deployment,service nothing --ignore-not-found", r"^$"),
        ("run once --rm -i --restart=Never --image=busybox --command -- echo said", r"said\n(.*\n)*pod \"once\" deleted"),
    ],
)  # fmt: skip
def test_forms(web: Cluster, line: str, shows: str) -> None:
    """The command succeeds and shows what it does in Kubernetes."""
    done = ask(web, line)
    assert done.returncode == 0, done.stderr
    assert re.search(shows, done.stdout), done.stdout


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("exec deploy/web -c web -- sh -c 'exit 7'", 7, "command terminated with exit code 7"),
        ("get pod nothing", 1, 'Error from server (NotFound): pods "nothing" not found'),
        ("logs deploy/web -c nothing", 1, "container nothing is not valid for pod"),
        ("wait --for=condition=Ready pod/nothing --timeout=1s", 1, 'Error from server (NotFound): pods "nothing" not found'),
        ("wait --for=delete deployment/web --timeout=1s", 1, "timed out waiting for the condition on deployments/web"),
        ("auth can-i create pods --as=system:serviceaccount:forms:default", 1, "no\n"),
        ("get nothings", 1, "the server doesn't have a resource type"),
        ("run bad --restart=Never --rm -i --image=busybox --command -- sh -c 'exit 3'", 3, "terminated (Error)"),
    ],
)
def test_failures(web: Cluster, line: str, code: int, says: str) -> None:
    """The command ends with the exit code and the words of Kubernetes."""
    done = ask(web, line)
    assert (done.returncode, says in done.stderr + done.stdout) == (code, True), done.stderr + done.stdout


def test_usage(web: Cluster) -> None:
    """`top` of nodes, and of containers one by one."""
    eventually(lambda: ask(web, "top pods --containers").stdout.count(" beside ") == 2, seconds=40, what="usage of all containers")
    assert re.search(r"POD +NAME +CPU\(cores\) +MEMORY\(bytes\) *\n" + POD + r" +beside +\d+m +\d+Mi", ask(web, "top pods --containers").stdout)
    assert re.search(r"^NAME +CPU\(cores\) +CPU\(%\) +MEMORY\(bytes\) +MEMORY\(%\) *\n\S+ +\d+m +\d+% +\d+Mi +\d+%", web.kubectl("top", "nodes").stdout)


@pytest.mark.parametrize("where", ["client", "server"])
def test_dry_runs_and_deletion_by_file(web: Cluster, where: str) -> None:
    """A dry run says what it would do and stores nothing; deletion by file forgives what is not there."""
    assert f"configmap/extra created ({'server ' if where == 'server' else ''}dry run)" in ask(web, f"apply --dry-run={where} -f -", EXTRA).stdout
    assert ask(web, "get configmap extra").returncode == 1
    ask(web, "apply -f -", EXTRA)
    assert 'configmap "extra" deleted' in ask(web, "delete -f - --ignore-not-found", EXTRA).stdout
    assert (ask(web, "delete -f - --ignore-not-found", EXTRA).returncode, ask(web, "delete -f -", EXTRA).returncode) == (0, 1)


@contextmanager
def running(cluster: Cluster, line: str) -> Iterator[list[str]]:
    """A command that goes on, and the lines that it has shown so far."""
    command = [str(PROGRAMS / "kubectl"), "-n", SPACE, *line.split()]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=cluster.environment)
    lines: list[str] = []
    assert child.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(iter(child.stdout.readline, "")), daemon=True)  # type: ignore[union-attr]
    reader.start()
    try:
        yield lines
    finally:
        child.kill()
        child.wait(10)
        reader.join(10)


def test_logs_are_followed(web: Cluster) -> None:
    """Of all pods of a label at once, each line with its pod, as it is written."""
    with running(web, "logs -f -l app=web -c beside --tail=0 --prefix") as lines:
        eventually(lambda: len({line.split("/")[1] for line in lines if line.endswith("tick\n")}) == 2, seconds=30, what="lines of both pods")


def test_a_service_is_forwarded(web: Cluster) -> None:
    """`port-forward svc/…` takes the service's port to a pod's."""
    with running(web, "port-forward svc/web :8000") as lines:
        found = eventually(lambda: re.search(r"127\.0\.0\.1:(\d+) -> 8080", "".join(lines)), seconds=20, what="the port")
        with urllib.request.urlopen(f"http://127.0.0.1:{found.group(1)}/get", timeout=10) as answer:
            assert answer.status == 200


def test_scaling_and_restarting_are_watched(web: Cluster) -> None:
    """`scale` and `rollout restart` do what they say, and `get events --watch` tells of it as it happens."""
    with running(web, "get events --watch-only --field-selector reason=ScalingReplicaSet") as lines:
        time.sleep(1)
        assert ask(web, "scale deployment web --replicas=3").stdout == "deployment.apps/web scaled\n"
        assert "successfully rolled out" in ask(web, "rollout status deployment/web --timeout=50s").stdout
        eventually(lambda: any(re.search(r"deployment/web +Scaled up replica set web-\w+ from 2 to 3", line) for line in lines), what="the event")
    before = set(ask(web, "get pods -o name").stdout.split())
    assert len(before) == 3
    assert ask(web, "rollout restart deployment/web").stdout == "deployment.apps/web restarted\n"
    assert "successfully rolled out" in ask(web, "rollout status deployment/web --timeout=50s").stdout
    eventually(lambda: not before & set(ask(web, "get pods -o name").stdout.split()), seconds=40, what="the end of the old pods")
