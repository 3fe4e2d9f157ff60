"""The same cluster for an ordinary user, without any capability: what the runtime does, it does inside its own user namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

ROOT = Path(__file__).resolve().parents[2]
USER = 65534
OPENED = """
set -e
hold=$1 closed=$2; shift 2
while [ "$1" != -- ]; do
  if [ ! -e "$hold/held" ]; then mount --bind "$closed" "$hold"; mount -t tmpfs -o mode=755 none "$closed"; fi
  mkdir -p "$1"; mount --bind "$hold${1#$closed}" "$1"; shift
done
shift
exec "$@"
"""
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/default]}}], to: [{operation: {methods: [GET]}}]}]
"""


def closed(path: Path) -> Path | None:
    """The topmost folder on the way to a path that others may not pass."""
    return next((one for one in reversed([path, *path.parents]) if not one.stat().st_mode & 0o001), None)


class Ordinary(Cluster):
    """A cluster of an ordinary user; where the programs lie in a folder of root's, that user alone sees it opened."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        os.chown(self.home, USER, USER)
        needed = [path for path in (Path(sys.base_prefix), ROOT, Path(sys.prefix)) if closed(path)]
        self.prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
        if needed:
            first = closed(needed[0])
            hold = self.home / "hold"
            hold.mkdir()
            inside = [str(path) for path in needed if first in path.parents]
            self.prefix = ["unshare", "-m", "sh", "-c", OPENED, "sh", str(hold), str(first), *inside, "--", *self.prefix]
        self.environment |= {"HOME": str(self.home), "TMPDIR": "/tmp"}

    def run(self, *command: str, check: bool = True, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Any program, as that user."""
        return super().run(*self.prefix, *command, check=check, stdin=stdin, timeout=timeout)


@pytest.fixture(scope="module")
def ordinary() -> Iterator[Ordinary]:
    """A mesh with one workload under STRICT mutual TLS."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root to become somebody else; for an ordinary user the whole suite is this test")
    made = Ordinary("ordinary")
    try:
        trial = subprocess.run([*made.prefix, "unshare", "-Urn", sys.executable, "-c", ""], capture_output=True, text=True, timeout=30, check=False)
        if trial.returncode != 0:
            pytest.skip(f"another user cannot make namespaces or run this Python here: {trial.stderr.strip()[-200:]}")
        made.up()
        made.run(str(PROGRAMS / "istioctl"), "install", "-y", timeout=150)
        made.kubectl("label", "namespace", "default", "istio-injection=enabled")
        made.apply(WEB)
        made.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout=70)
        yield made
    finally:
        made.destroy()


def test_nothing_runs_as_root(ordinary: Ordinary) -> None:
    """Every process of the cluster belongs to the user on the host."""
    users = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(ordinary.folder.root).encode() in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                users.add(entry.stat().st_uid)
        except OSError:
            continue
    assert users == {USER}


def test_the_mesh_is_the_same(ordinary: Ordinary) -> None:
    """Injection, redirection, certificates and policies: who may ask gets 200, another method 403, and the caller has its identity."""
    assert ordinary.kubectl("get", "pods", "-l", "app=web", "--no-headers").stdout.split()[1] == "2/2"
    ask = ("exec", "deploy/web", "-c", "web", "--", "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "http://web/get")
    eventually(lambda: ordinary.kubectl(*ask, check=False).stdout == "200", seconds=30, what="an answer")
    assert ordinary.kubectl(*ask, "-X", "POST").stdout == "403"
    shown = ordinary.kubectl("exec", "deploy/web", "-c", "web", "--", "curl", "-s", "-m", "5", "http://web/headers").stdout
    assert "URI=spiffe://cluster.local/ns/default/sa/default" in shown


def test_a_port_that_only_root_may_open_is_told(ordinary: Ordinary) -> None:
    """The service of port 80 has an address and a free port, and its status says which."""
    status = eventually(lambda: ordinary.get("service", "web")["status"]["loadBalancer"].get("ingress"), what="the address")
    (port,) = status[0]["ports"]
    assert port["port"] == 80 and port["error"]


def test_a_state_folder_that_is_read_only_is_named(ordinary: Ordinary) -> None:
    """A second cluster whose state cannot be written does not begin."""
    closed_home = ordinary.home / "closed"
    closed_home.mkdir(mode=0o555)
    done = ordinary.run("env", f"VARKA_HOME={closed_home}", str(PROGRAMS / "varka"), "up", "--name", "second", check=False)
    assert done.returncode == 1
    assert f"the state folder {closed_home / 'second'} cannot be written" in done.stderr and "VARKA_HOME" in done.stderr
    assert list(closed_home.iterdir()) == []


def test_down_leaves_nothing(ordinary: Ordinary) -> None:
    """No process of the user's cluster is there afterwards."""
    ordinary.varka("down")
    left = [entry.name for entry in Path("/proc").glob("[0-9]*") if _of(entry, str(ordinary.folder.root))]
    assert left == [] and not ordinary.folder.root.exists()


def _of(entry: Path, folder: str) -> bool:
    try:
        return folder.encode() in (entry / "cmdline").read_bytes()
    except OSError:
        return False
