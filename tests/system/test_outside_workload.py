from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What happened to a process outside of the cluster that joined the mesh, and left."""
    command = ["unshare", "-Urnm", sys.executable, "-m", "tests.system.outside_workload", str(tmp_path_factory.mktemp("outside"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_a_group_and_its_configuration(seen: Any) -> None:
    """The verbs write what Istio's write: the group, and the variables of its workloads."""
    assert seen["group"]["kind"] == "WorkloadGroup"
    assert seen["group"]["spec"]["template"] == {"serviceAccount": "vm", "network": "machine"}
    variables = dict(line.split("=", 1) for line in seen["env"].splitlines())
    assert variables["ISTIO_META_AUTO_REGISTER_GROUP"] == "'vm'"
    assert variables["ISTIO_META_NETWORK"] == "'machine'"
    assert yaml.safe_load(variables["ISTIO_METAJSON_LABELS"].strip("'"))["app"] == "vm"


def test_it_is_registered(seen: Any) -> None:
    """Its WorkloadEntry comes from the group, with its own address."""
    (entry,) = seen["entry"]
    assert entry["metadata"]["name"] == "vm-203.0.113.5-machine"
    assert (entry["spec"]["address"], entry["spec"]["serviceAccount"], entry["spec"]["labels"]["app"]) == ("203.0.113.5", "vm", "vm")


def test_a_pod_calls_it_under_mutual_tls(seen: Any) -> None:
    """Under STRICT the application outside sees the identity of the pod."""
    assert "URI=spiffe://cluster.local/ns/default/sa/default" in seen["called"]["x-forwarded-client-cert"], seen["log"]


def test_it_calls_a_pod_under_mutual_tls(seen: Any) -> None:
    """Through the gateway of the pod's network, the pod sees the identity of the process; policies hold for it."""
    assert "URI=spiffe://cluster.local/ns/default/sa/vm" in seen["calls"]["x-forwarded-client-cert"], seen["log"]
    assert seen["refused"].endswith("403")


def test_plain_requests_to_it_are_refused(seen: Any) -> None:
    """STRICT holds for the process outside too: without a certificate there is no answer."""
    assert seen["plain"] in {52, 56}


def test_it_is_known_and_forgotten(seen: Any) -> None:
    """Its proxy is listed like any other; when it ends, its entry goes."""
    assert "vm-203.0.113.5.default" in seen["status"]
    assert seen["left"] is True
