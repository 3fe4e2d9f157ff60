"""Pods of a real cluster with the real kubectl: streams, order, probes, volumes, ends, and what survives the node process."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

Json = dict[str, Any]
Container = dict[str, Any]


class Place:
    """A namespace of the shared cluster."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def kubectl(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """kubectl in this namespace."""
        return self.cluster.kubectl("-n", self.name, *arguments, check=check, stdin=stdin)

    def create(self, *objects: Json) -> None:
        """Apply objects of this namespace."""
        self.cluster.apply("\n---\n".join(json.dumps({**each, "metadata": {"namespace": self.name, **each["metadata"]}}) for each in objects))

    def pod(self, name: str, *containers: Container, **spec: Any) -> None:
        """Make a pod; what a container does not say is filled in."""
        filled = [{"name": "app", "image": "busybox", **each} for each in containers]
        spec.setdefault("terminationGracePeriodSeconds", 1)
        self.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": {**spec, "containers": filled}})

    def status(self, name: str) -> Json:
        """The pod's status."""
        found: Json = self.cluster.get("-n", self.name, "pod", name)["status"]
        return found

    def container(self, name: str, index: int = 0) -> Json:
        """The status of one container; empty as long as there is none."""
        found: list[Json] = self.status(name).get("containerStatuses") or [{}]
        return found[index] if len(found) > index else {}

    def until(self, name: str, holds: Callable[[Json], Any], what: str, seconds: float = 30) -> Json:
        """The pod's status as soon as it `holds`; what is not in the status yet does not."""
        held: list[Json] = []

        def look() -> bool:
            held[:] = [self.status(name)]
            try:
                return bool(holds(held[0]))
            except KeyError:
                return False

        eventually(look, seconds=seconds, what=f"pod {name}: {what}")
        return held[0]

    def running(self, name: str) -> Json:
        """The pod's status when it is ready."""
        return self.until(name, ready, "ready")

    def over(self, name: str) -> Json:
        """The pod's status when it has succeeded or failed."""
        return self.until(name, lambda status: status["phase"] in {"Succeeded", "Failed"}, "over")

    def run(self, name: str, *command: str) -> str:
        """Output of a command in a pod."""
        return self.kubectl("exec", name, "--", *command).stdout

    def log(self, name: str, *arguments: str) -> str:
        """A pod's log."""
        return self.kubectl("logs", name, *arguments).stdout

    def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of a pod's events."""
        found = self.cluster.get("-n", self.name, "events", f"--field-selector=involvedObject.name={name}")["items"]
        return [(each["reason"], each["message"]) for each in found]


def ready(status: Json) -> bool:
    """Whether the condition Ready holds."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or [])


def shell(script: str, **more: Any) -> Container:
    """A container that runs a script."""
    return {"command": ["sh", "-c", script], **more}


@pytest.fixture
def place(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A namespace for one test."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    cluster.kubectl("create", "namespace", name)
    eventually(lambda: cluster.kubectl("-n", name, "get", "sa", "default", check=False).returncode == 0, what="the service account")
    yield Place(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_exec(place: Place) -> None:
    """A command's output, error output, exit code and standard input; programs that are missing."""
    place.pod("p", shell("sleep 1000", workingDir="/tmp", env=[{"name": "WHO", "value": "me"}]))
    place.running("p")
    done = place.kubectl("exec", "-i", "p", "--", "sh", "-c", "cat; echo $WHO; pwd; echo err >&2; exit 7", stdin="abc\n", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "abc\nme\n/tmp\n", "err\ncommand terminated with exit code 7\n")
    assert place.kubectl("exec", "p", "--", "sh", "-c", "kill -9 $$", check=False).returncode == 137
    missing = place.kubectl("exec", "p", "--", "no-such-program", check=False)
    assert missing.returncode in {1, 126, 127}
    assert "no-such-program" in missing.stderr
    assert len(place.kubectl("exec", "p", "--", "head", "-c", "2000000", "/dev/zero").stdout) == 2_000_000


def test_terminal(place: Place) -> None:
    """`kubectl exec -it` gives the command a terminal that answers to the keyboard."""
    place.pod("p", shell("sleep 1000"))
    place.running("p")
    ours, theirs = pty.openpty()
    command = [str(PROGRAMS / "kubectl"), "-n", place.name, "exec", "-it", "p", "--", "sh"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=place.cluster.environment, start_new_session=True) as process:
        os.close(theirs)
        os.write(ours, b"test -t 0 && echo is-a-$((1 + 1))-terminal; exit 5\n")
        seen = b""
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:
            pass
        assert process.wait(20) == 5
    os.close(ours)
    assert b"is-a-2-terminal" in seen


def test_run_and_attach(place: Place) -> None:
    """`kubectl run -i` shows a short command's output once, passes standard input and gives the exit code."""
    done = place.kubectl("run", "short", "--rm", "-i", "--image=busybox", "--restart=Never", "--quiet", "--", "echo", "hello")
    assert done.stdout.count("hello") == 1
    done = place.kubectl(
        "run", "cat", "--rm", "-i", "--image=busybox", "--restart=Never", "--quiet", "--", "sh", "-c", "cat; exit 4", stdin="typed\n", check=False
    )
    assert (done.returncode, done.stdout.count("typed")) == (4, 1)


def test_logs(place: Place) -> None:
    """Logs by tail, time and with timestamps, followed to the end, and of the run before."""
    place.pod("p", shell("echo one; echo two; echo three >&2; sleep 1; echo four"), restartPolicy="Never")
    place.until("p", lambda status: (status.get("containerStatuses") or [{}])[0].get("containerID"), "started")
    assert place.log("p", "-f") == "one\ntwo\nthree\nfour\n"
    assert place.log("p", "--tail=2") == "three\nfour\n"
    assert place.log("p", "--since=1h").count("\n") == 4
    stamp = place.log("p", "--timestamps", "--tail=1").split(" ")[0]
    assert place.log("p", f"--since-time={stamp}") == "four\n"
    assert place.over("p")["phase"] == "Succeeded"
    assert place.log("p") == "one\ntwo\nthree\nfour\n"
    refused = place.kubectl("logs", "p", "--previous", check=False)
    assert refused.stderr == 'Error from server (BadRequest): previous terminated container "app" in pod "p" not found\n'
    place.pod(
        "again",
        shell("date +%N; test -e /shared/second && sleep 1000; touch /shared/second; exit 3", volumeMounts=[{"name": "s", "mountPath": "/shared"}]),
        volumes=[{"name": "s", "emptyDir": {}}],
    )
    place.until("again", lambda status: status["containerStatuses"][0]["restartCount"] == 1 and ready(status), "second run")
    assert place.container("again")["lastState"]["terminated"]["exitCode"] == 3
    assert place.log("again", "--previous") != place.log("again")


def test_order(place: Place) -> None:
    """Init containers come one after the other, a native sidecar starts before the others and ends after them."""
    mount = {"volumeMounts": [{"name": "s", "mountPath": "/s"}], "image": "busybox"}
    inits = [
        {"name": "first", **shell("echo first >> /s/order"), **mount},
        {
            "name": "side",
            **shell("trap 'echo side-ends >> /s/order; exit 0' TERM; echo side >> /s/order; while :; do sleep 0.05; done"),
            "restartPolicy": "Always",
            **mount,
        },
        {"name": "second", **shell("sleep 0.2; echo second >> /s/order"), **mount},
    ]
    place.pod(
        "p",
        shell("echo app >> /s/order; sleep 0.5; cat /s/order", volumeMounts=mount["volumeMounts"]),
        initContainers=inits,
        volumes=[{"name": "s", "emptyDir": {}}],
        restartPolicy="Never",
    )
    status = place.over("p")
    assert status["phase"] == "Succeeded"
    assert place.log("p") == "first\nside\nsecond\napp\n"
    ends = {each["name"]: each["state"]["terminated"] for each in status["initContainerStatuses"]}
    assert [each["exitCode"] for each in ends.values()] == [0, 0, 0]
    assert ends["side"]["finishedAt"] >= status["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    place.pod("bad", shell("echo never"), initContainers=[{"name": "i", **shell("exit 2"), "image": "busybox"}], restartPolicy="Never")
    status = place.over("bad")
    assert (status["phase"], status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"]) == ("Failed", 2)
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_probes(place: Place) -> None:
    """Readiness follows its probe, a startup probe holds it back, a failing liveness probe restarts the container."""
    probe = {"exec": {"command": ["test", "-e", "/tmp/good"]}, "periodSeconds": 1, "failureThreshold": 1}
    place.pod("r", shell("sleep 1000", readinessProbe=probe))
    place.pod("l", shell("touch /tmp/good; sleep 1000", livenessProbe=probe))
    place.pod("s", shell("sleep 0.5; touch /tmp/good; sleep 1000", startupProbe={**probe, "failureThreshold": 30}))
    place.running("l")
    place.run("l", "rm", "/tmp/good")
    status = place.until("r", lambda status: status["phase"] == "Running", "running")
    assert not ready(status)
    place.run("r", "touch", "/tmp/good")
    place.running("r")
    place.run("r", "rm", "/tmp/good")
    place.until("r", lambda status: not ready(status), "not ready")
    place.until("l", lambda status: status["containerStatuses"][0]["restartCount"] == 1 and ready(status), "restarted")
    assert ("Killing", "Container app failed liveness probe, will be restarted") in place.events("l")
    assert any(reason == "Unhealthy" for reason, _ in place.events("r"))
    assert place.running("s")["containerStatuses"][0]["started"] is True


def test_crash_loop(place: Place) -> None:
    """A container that keeps failing is started again at once, then after a wait that is told; its last words are kept."""
    place.pod("p", shell("echo -n broken > /dev/termination-log; exit 9"))
    status = place.until(
        "p",
        lambda status: "waiting" in (status.get("containerStatuses") or [{}])[0].get("state", {}) and status["containerStatuses"][0]["restartCount"] == 1,
        "back-off",
    )
    one = place.until("p", lambda status: status["containerStatuses"][0]["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff", "CrashLoopBackOff")[
        "containerStatuses"
    ][0]
    uid = place.cluster.get("-n", place.name, "pod", "p")["metadata"]["uid"]
    assert one["state"]["waiting"]["message"] == f"back-off 10s restarting failed container=app pod=p_{place.name}({uid})"
    assert (one["lastState"]["terminated"]["exitCode"], one["lastState"]["terminated"]["reason"], one["lastState"]["terminated"]["message"]) == (
        9,
        "Error",
        "broken",
    )
    assert status["phase"] == "Running"
    assert ("BackOff", f"Back-off restarting failed container app in pod p_{place.name}({uid})") in place.events("p")
    assert "p     0/1     CrashLoopBackOff" in place.kubectl("get", "pods").stdout.replace("p      0/1", "p     0/1")


def test_images(place: Place) -> None:
    """An image without a recipe is an image that cannot be pulled, until one is added."""
    image = f"example.com/{place.name}:1"
    place.pod("p", {"image": image})
    waiting = place.until(
        "p",
        lambda status: (status.get("containerStatuses") or [{}])[0].get("state", {}).get("waiting", {}).get("reason") in {"ErrImagePull", "ImagePullBackOff"},
        "ErrImagePull",
    )
    assert f"varka image add {image} -- COMMAND" in waiting["containerStatuses"][0]["state"]["waiting"]["message"]
    refused = place.kubectl("logs", "p", check=False).stderr
    assert 'container "app" in pod "p" is waiting to start' in refused
    place.cluster.varka("image", "add", image, "--", "sleep", "1000")
    status = place.running("p")
    assert status["containerStatuses"][0]["restartCount"] == 0
    assert ("Pulled", f'Container image "{image}" already present on machine') in place.events("p")
    place.pod("none", {"command": ["/no/such/program"]}, restartPolicy="Never")
    ended = place.over("none")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "/no/such/program" in ended["message"]


def test_volumes(place: Place) -> None:
    """Every kind of volume shows its content; a ConfigMap's change arrives; generated content is read-only."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "one", "b": "two"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hidden"}}
    place.create(config, secret)
    token = {"serviceAccountToken": {"path": "token", "audience": "istio-ca", "expirationSeconds": 7200}}
    sources = [token, {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]
    volumes = [
        {"name": "config", "configMap": {"name": "c", "items": [{"key": "a", "path": "x/y"}]}},
        {"name": "whole", "configMap": {"name": "c"}},
        {"name": "secret", "secret": {"secretName": "s"}},
        {"name": "projected", "projected": {"sources": sources}},
        {"name": "shared", "emptyDir": {}},
        {"name": "maybe", "configMap": {"name": "not-there", "optional": True}},
    ]
    mounts = [{"name": each["name"], "mountPath": f"/v/{each['name']}"} for each in volumes]
    part = {"name": "whole", "mountPath": "/etc/part.conf", "subPath": "b"}
    other = {"name": "other", "image": "busybox", **shell("echo shared > /out/f; sleep 1000"), "volumeMounts": [{"name": "shared", "mountPath": "/out"}]}
    place.pod("p", shell("sleep 1000", volumeMounts=[*mounts, part]), other, volumes=volumes)
    place.running("p")
    script = "cat /v/config/x/y /v/whole/b /v/secret/password /etc/part.conf; echo; cat /v/projected/labels; echo; ls /v/maybe; cut -c1-2 /v/projected/token"
    assert place.run("p", "sh", "-c", script).split("\n") == ["onetwohiddentwo", 'app="p"', "ey", ""]
    eventually(lambda: place.kubectl("exec", "p", "--", "cat", "/v/shared/f", check=False).stdout == "shared\n", what="the shared file")
    assert "Read-only file system" in place.kubectl("exec", "p", "--", "sh", "-c", "echo x > /v/whole/b", check=False).stderr
    place.create({**config, "data": {"a": "changed"}})
    eventually(lambda: place.run("p", "sh", "-c", "cat /v/config/x/y; ls /v/whole") == "changeda\n", what="the change")
    assert place.run("p", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/namespace") == place.name
    place.pod("missing", shell("sleep 1000", volumeMounts=[{"name": "v", "mountPath": "/v"}]), volumes=[{"name": "v", "secret": {"secretName": "later"}}])
    eventually(lambda: ("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "later" not found') in place.events("missing"), what="FailedMount")
    place.create({**secret, "metadata": {"name": "later"}})
    place.running("missing")


def test_environment(place: Place) -> None:
    """Variables from values, references, fields, resources and services; host names and aliases."""
    place.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"key": "value"}})
    place.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-ui"}, "spec": {"ports": [{"port": 80}]}})
    env = [
        {"name": "PLAIN", "value": "a"},
        {"name": "COMPOSED", "value": "$(PLAIN)-$(FROM_key)-$$(PLAIN)-$(UNKNOWN)"},
        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "key"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ]
    source = [{"configMapRef": {"name": "c"}, "prefix": "FROM_"}]
    main = {"command": ["sh", "-c", 'echo "$COMPOSED|$KEY|$NAME|$CPU|$WEB_UI_SERVICE_PORT|$0"; echo "$IP"; hostname; cat /etc/hosts', "$(PLAIN)"]}
    place.pod(
        "p", {**main, "env": env, "envFrom": source, "resources": {"limits": {"cpu": "1500m"}}},
        hostname="host", subdomain="sub", hostAliases=[{"ip": "10.9.9.9", "hostnames": ["one", "two"]}], restartPolicy="Never",
    )  # fmt: skip
    ip = place.over("p")["podIP"]
    lines = place.log("p").splitlines()
    assert lines[:3] == ["a-value-$(PLAIN)-$(UNKNOWN)|value|p|2|80|a", ip, "host"]
    assert f"{ip}\thost.sub.{place.name}.svc.cluster.local\thost" in lines
    assert "10.9.9.9\tone\ttwo" in lines
    place.pod("refused", shell("true", env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]))
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "none" not found'}
    place.until("refused", lambda status: (status.get("containerStatuses") or [{}])[0].get("state") == {"waiting": waiting}, "the reason")


def test_endings(place: Place) -> None:
    """preStop runs before SIGTERM; who ignores SIGTERM is killed after the grace period; who is deleted by force is gone at once."""
    hook = {"preStop": {"exec": {"command": ["touch", "/tmp/hook-ran"]}}}
    place.pod("hook", shell("trap 'test -e /tmp/hook-ran && exit 0' TERM; while :; do sleep 0.05; done", lifecycle=hook), terminationGracePeriodSeconds=60)
    place.pod("deaf", shell("trap '' TERM; while :; do sleep 0.05; done"), terminationGracePeriodSeconds=2)
    place.pod("forced", shell("trap '' TERM; while :; do sleep 0.05; done"), terminationGracePeriodSeconds=600)
    for name in ("hook", "deaf", "forced"):
        place.running(name)
    begin = time.monotonic()
    place.kubectl("delete", "pod", "forced", "--force", "--grace-period=0")
    place.kubectl("delete", "pod", "hook")
    assert time.monotonic() - begin < 10
    begin = time.monotonic()
    place.kubectl("delete", "pod", "deaf")
    assert 1.5 < time.monotonic() - begin < 15


def test_policies(place: Place) -> None:
    """What restart policies make of exit codes, and the end of a pod that is active for too long."""
    place.pod("never", shell("exit 3"), restartPolicy="Never")
    place.pod("good", shell("exit 0"), restartPolicy="OnFailure")
    place.pod("late", shell("sleep 1000"), activeDeadlineSeconds=1)
    script = "test -e /s/done && exit 0; touch /s/done; exit 1"
    place.pod("retry", shell(script, volumeMounts=[{"name": "s", "mountPath": "/s"}]), restartPolicy="OnFailure", volumes=[{"name": "s", "emptyDir": {}}])
    status = place.over("never")
    assert (status["phase"], status["containerStatuses"][0]["state"]["terminated"]["exitCode"]) == ("Failed", 3)
    assert place.over("good")["phase"] == "Succeeded"
    status = place.over("retry")
    assert (status["phase"], status["containerStatuses"][0]["restartCount"]) == ("Succeeded", 1)
    status = place.over("late")
    assert (status["phase"], status["reason"], status["message"]) == (
        "Failed",
        "DeadlineExceeded",
        "Pod was active on the node longer than the specified deadline",
    )


def _shims(place: Place, uid: str) -> list[int]:
    """Processes of this machine that hold the pod."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(part.endswith(uid.encode()) for part in line):
                found.append(int(entry.name))
    return found


def test_node_is_killed(place: Place) -> None:
    """Pods outlive the node process: it takes them back as they were, and learns of those that ended meanwhile."""
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    place.pod(
        "stays",
        shell(
            "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done",
            readinessProbe=probe,
            lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "echo x >> /tmp/hooks"]}}},
        ),
    )
    place.pod("ends", shell("while ! test -e /tmp/stop; do sleep 0.05; done; sleep 0.4; exit 6"), restartPolicy="Never")
    before = place.running("stays")
    place.running("ends")
    place.run("ends", "touch", "/tmp/stop")
    node = place.cluster.pid("node")
    os.kill(node, signal.SIGKILL)
    eventually(lambda: place.cluster.pid("node") not in {0, node}, what="a new node process")
    eventually(lambda: place.kubectl("get", "--raw", "/readyz", check=False).returncode == 0, what="the API server")
    assert place.over("ends")["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 6
    after = place.running("stays")
    assert after["containerStatuses"] == before["containerStatuses"]
    assert [each for each in after["conditions"] if each["type"] == "Ready"] == [each for each in before["conditions"] if each["type"] == "Ready"]
    eventually(lambda: place.kubectl("exec", "stays", "--", "cat", "/tmp/hooks", check=False).stdout == "x\n", what="an exec")
    count = int(place.log("stays", "--tail=1"))
    eventually(lambda: int(place.log("stays", "--tail=1")) > count, what="the log going on")
    assert place.log("ends") == ""


def test_nothing_is_left(place: Place) -> None:
    """A deleted pod leaves no process, no folder and no network interface; a killed one comes back."""
    place.pod("p", shell("sleep 1000 & sleep 1000"))
    place.running("p")
    uid = place.cluster.get("-n", place.name, "pod", "p")["metadata"]["uid"]
    shims = _shims(place, uid)
    assert shims
    os.kill(max(shims), signal.SIGKILL)
    status = place.until("p", lambda status: status["containerStatuses"][0]["restartCount"] == 1 and ready(status), "back in a new sandbox")
    assert "terminated" in status["containerStatuses"][0]["lastState"]
    folder = place.cluster.folder.pods / uid
    assert folder.is_dir()
    place.kubectl("delete", "pod", "p")
    eventually(lambda: not _shims(place, uid) and not folder.exists(), what="nothing left")


def test_an_empty_folder_in_memory(place: Place) -> None:
    """A tmpfs that both containers share, no larger than its limit, which survives a container's restart."""
    mount = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    first = shell("test -e /m/kept && sleep 1000; echo kept >/m/kept; head -c 2000000 /dev/zero >/m/much; echo full $? $(wc -c </m/much); exit 1", **mount)
    other = {**shell("sleep 1000", **mount), "name": "other"}
    place.pod("p", first, other, volumes=[{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}])
    place.until("p", lambda status: status["containerStatuses"][0]["restartCount"] == 1 and ready(status), "second run")
    said = place.log("p", "-c", "app", "--previous")
    assert "No space left on device" in said, said
    kept = re.search(r"^full 1 (\d+)$", said, re.MULTILINE)
    assert kept and int(kept[1]) < 1 << 20, said
    mounted = place.kubectl("exec", "p", "-c", "other", "--", "sh", "-c", "grep ' /m ' /proc/mounts; cat /m/kept").stdout
    assert mounted.startswith("tmpfs /m tmpfs rw,nosuid,nodev") and "size=1024k" in mounted and mounted.endswith("kept\n"), mounted
