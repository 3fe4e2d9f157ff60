from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

from varka.cluster import state

Make = Callable[[str], Cluster]


def namespaces_of(root: Path) -> set[str]:
    """Network namespaces of processes that mention the state folder in their command line."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(root).encode() in (process / "cmdline").read_bytes():
                found.add(os.readlink(process / "ns/net"))
        except OSError:
            continue
    return found


def mounts() -> list[str]:
    """Where something is mounted on the host."""
    return Path("/proc/self/mountinfo").read_text().splitlines()


def test_up_down_leaves_nothing(fresh_cluster: Make) -> None:
    """No process, mount, namespace, socket, nftables rule or file."""
    before = (mounts(), subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=False).stdout)
    cluster = fresh_cluster("whole")
    cluster.up()
    assert len(namespaces_of(cluster.folder.root)) == 2
    assert cluster.get("nodes")["items"][0]["metadata"]["name"] == "whole"
    port = int(cluster.status()["server"].rpartition(":")[2])
    cluster.varka("down")
    assert namespaces_of(cluster.folder.root) == set()
    assert not cluster.folder.root.exists()
    assert (mounts(), subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=False).stdout) == before
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_a_second_up_changes_nothing(fresh_cluster: Make) -> None:
    """It says so and succeeds; the processes are the same."""
    cluster = fresh_cluster("twice")
    cluster.up()
    before = [(one["name"], one["pid"]) for one in cluster.status()["processes"]]
    assert "already running" in cluster.varka("up").stdout
    assert [(one["name"], one["pid"]) for one in cluster.status()["processes"]] == before


def test_two_clusters_run_side_by_side(fresh_cluster: Make) -> None:
    """Each has its own port and its own objects."""
    one, two = fresh_cluster("one"), fresh_cluster("two")
    one.up()
    two.up()
    one.kubectl("create", "namespace", "only-in-one")
    assert one.status()["server"] != two.status()["server"]
    assert two.kubectl("get", "namespace", "only-in-one", check=False).returncode == 1


def test_clusters_that_start_at_the_same_moment(fresh_cluster: Make) -> None:
    """Each serves its own API server at the port that its kubeconfig names."""
    clusters = [fresh_cluster(name) for name in ("first", "second", "third")]
    with ThreadPoolExecutor() as pool:
        list(pool.map(Cluster.up, clusters))
    assert [one.get("nodes")["items"][0]["metadata"]["name"] for one in clusters] == ["first", "second", "third"]
    assert len({one.status()["server"] for one in clusters}) == 3


def test_connections_wait_for_a_relay_that_starts_again(fresh_cluster: Make) -> None:
    """None is refused: the supervisor keeps the API server's port open."""
    cluster = fresh_cluster("waits")
    cluster.up()
    for _ in range(5):
        os.kill(cluster.pid("relay"), 9)
        assert cluster.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_a_taken_api_port_is_avoided(fresh_cluster: Make) -> None:
    """Another program's port 6443 is left alone."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 6443))
            other.listen()
        except OSError:
            pass
        cluster = fresh_cluster("ported")
        cluster.up()
        assert not cluster.status()["server"].endswith(":6443")
        assert cluster.get("nodes")["items"]


def test_a_state_folder_that_cannot_be_written_is_named(fresh_cluster: Make) -> None:
    """Before anything was started."""
    cluster = fresh_cluster("readonly")
    (cluster.home / "readonly").write_text("in the way")
    done = cluster.varka("up", check=False)
    (cluster.home / "readonly").unlink()
    assert done.returncode == 1
    assert f"the state folder {cluster.folder.root} cannot be written" in done.stderr
    assert "VARKA_HOME" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root to give up what makes namespaces")
def test_forbidden_namespaces_are_told_before_anything_is_done(fresh_cluster: Make) -> None:
    """Who may not make a user namespace learns it from `up`, with the mend, and nothing is there afterwards."""
    cluster = fresh_cluster("forbidden")
    done = cluster.run("setpriv", "--bounding-set=-all", "--inh-caps=-all", str(PROGRAMS / "varka"), "up", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: this machine lacks what a cluster needs (user namespaces: ") and "\nhint: " in done.stderr
    assert list(cluster.home.iterdir()) == []
    doctor = cluster.run("setpriv", "--bounding-set=-all", "--inh-caps=-all", str(PROGRAMS / "varka"), "doctor", check=False)
    assert doctor.returncode == 1 and doctor.stdout.endswith("\n1 required thing(s) missing\n")
    (line,) = (line for line in doctor.stdout.splitlines() if line.startswith("MISSING"))
    assert line.split()[:4] == ["MISSING", "user", "namespaces", "forbidden"]


def test_this_machine_has_what_a_cluster_needs(fresh_cluster: Make) -> None:
    """`varka doctor` says so, item by item, since this test runs where clusters do."""
    found = json.loads(fresh_cluster("healthy").varka("doctor", "-o", "json").stdout)
    checks = {one["name"]: one for one in (found if isinstance(found, list) else found["checks"])}
    assert {"python", "kernel", "overlayfs", "user namespaces", "nft", "envoy", "kubectl", "disk", "memory"} <= set(checks)
    assert all(one["ok"] and not one["mend"] for one in checks.values() if one["required"])


def test_keep_continues_with_the_stored_objects(fresh_cluster: Make) -> None:
    """down --keep and up: same objects, same port, same certificates."""
    cluster = fresh_cluster("kept")
    cluster.up()
    cluster.kubectl("create", "configmap", "note", "--from-literal=text=kept")
    kubeconfig = cluster.folder.kubeconfig.read_bytes()
    cluster.varka("down", "--keep")
    cluster.up()
    assert cluster.get("configmap", "note")["data"] == {"text": "kept"}
    assert cluster.folder.kubeconfig.read_bytes() == kubeconfig


@pytest.mark.parametrize("process", ["node", "relay", "agent", "init"])
def test_a_killed_process_comes_back(fresh_cluster: Make, process: str) -> None:
    """The API answers again by itself, with what was acknowledged before."""
    cluster = fresh_cluster("killed")
    cluster.up()
    cluster.kubectl("create", "configmap", "note", "--from-literal=text=kept")
    old = cluster.pid(process)
    os.kill(old, 9)
    eventually(lambda: cluster.pid(process) not in (0, old), what=f"a new {process}")
    eventually(lambda: cluster.kubectl("get", "configmap", "note", check=False).returncode == 0, what="the API")


def test_a_killed_supervisor_takes_everything_with_it_and_up_continues(fresh_cluster: Make) -> None:
    """status tells what happened and the mend; the objects are still there afterwards."""
    cluster = fresh_cluster("orphan")
    cluster.up()
    cluster.kubectl("create", "configmap", "note", "--from-literal=text=kept")
    record = state.read_json(cluster.folder.supervisor_file)
    os.kill(record["pid"], 9)
    eventually(lambda: namespaces_of(cluster.folder.root) == set(), what="the end of all processes")
    status = cluster.varka("status", check=False)
    assert (status.returncode, "varka up --name orphan starts it again" in status.stdout) == (1, True)
    assert "removed what a killed cluster had left" in cluster.varka("up").stdout
    assert cluster.get("configmap", "note")["data"] == {"text": "kept"}
