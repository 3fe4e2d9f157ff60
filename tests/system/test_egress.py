from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.clusters import Cluster

_OUTSIDE = "203.0.113.5"
_SCRIPT = """
set -e
ip link set lo up
ip addr add {outside}/32 dev lo
mount --bind {hosts} /etc/hosts
cd {folder}
{python} -m http.server --bind {outside} 80 >/dev/null 2>&1 &
web=$!
trap 'kill $web; {varka} down >/dev/null' EXIT
{varka} up {options} >/dev/null
node=$({varka} status -o json | jq '.processes[] | select(.name == "node") | .pid')
enter="nsenter -t $node -U -n -m --preserve-credentials"
for url in http://{outside}/index.txt http://{outside}:81/; do
  echo "$($enter curl -sS -m 5 $url 2>&1)"
done
echo "name: $($enter getent -s hosts:dns ahostsv4 outside.example | head -n 1 | cut -d ' ' -f 1)"
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder to serve, and a hosts file for a machine of its own."""
    (tmp_path / "index.txt").write_text("from outside")
    (tmp_path / "hosts").write_text(f"127.0.0.1 localhost\n{_OUTSIDE} outside.example\n")
    return tmp_path


def look_outside(cluster: Cluster, folder: Path, options: str = "") -> list[str]:
    """Run a cluster in a network namespace that plays the host, with an address that plays the outside world."""
    varka = f"{sys.executable} -m varka.cli.main"
    script = _SCRIPT.format(outside=_OUTSIDE, hosts=folder / "hosts", folder=folder, python=sys.executable, varka=varka, options=options)
    done = subprocess.run(["unshare", "-Urnm", "bash", "-c", script], capture_output=True, text=True, timeout=60, env=cluster.environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_connections_and_names_lead_outside(cluster_home: Cluster, machine: Path) -> None:
    """By address and by the host's own names; a port where nobody listens is a reset."""
    answers = look_outside(cluster_home, machine)
    assert answers[0] == "from outside"
    assert answers[1].startswith("curl: ")
    assert answers[2] == f"name: {_OUTSIDE}"


def test_without_egress_the_outside_is_refused(cluster_home: Cluster, machine: Path) -> None:
    """At once, by address and by name."""
    answers = look_outside(cluster_home, machine, "--no-egress")
    assert "Couldn't connect" in answers[0] or "refused" in answers[0]
    assert answers[2] == "name: "


@pytest.fixture
def cluster_home(fresh_cluster: object) -> Cluster:
    """A cluster that the test's own script starts and stops."""
    assert callable(fresh_cluster)
    made = fresh_cluster("egress")
    assert isinstance(made, Cluster)
    return made
