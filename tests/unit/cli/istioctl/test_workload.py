from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from varka.cli.istioctl import main, workload

GROUP = {
    "metadata": {"name": "vm", "namespace": "shop"},
    "spec": {
        "metadata": {"labels": {"app": "web", "version": "v2"}},
        "template": {"ports": {"http": 8080, "admin": 9000}, "serviceAccount": "web", "network": "n"},
    },
}
WANTED = workload.Wanted(
    folder=Path("vm"), cluster_id="", ingress_ip="", ingress_service="", address="192.0.2.7", register=True, revision="", token_seconds=3600
)


def test_variables_of_a_group() -> None:
    """The lines of cluster.env, from the group, the mesh and the installation."""
    found = workload.environment(GROUP, {"trustDomain": "example.org"}, {"meshID": "m", "multiCluster": {"clusterName": "c"}}, WANTED)
    assert (found["TRUST_DOMAIN"], found["ISTIO_META_MESH_ID"], found["ISTIO_META_CLUSTER_ID"], found["ISTIO_META_NETWORK"]) == ("example.org", "m", "c", "n")
    assert (found["CANONICAL_SERVICE"], found["CANONICAL_REVISION"], found["ISTIO_SERVICE"], found["SERVICE_ACCOUNT"]) == ("web", "v2", "vm.shop", "web")
    assert (found["ISTIO_INBOUND_PORTS"], found["ISTIO_SVC_IP"], found["ISTIO_META_AUTO_REGISTER_GROUP"]) == ("8080,9000", "192.0.2.7", "vm")
    assert json.loads(found["ISTIO_METAJSON_LABELS"])["security.istio.io/tlsMode"] == "istio"


def test_a_group_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Ready for kubectl apply."""
    arguments = ["x", "workload", "group", "create", "--name", "vm", "-n", "shop", "--labels", "app=web", "--ports", "http=8080", "--serviceAccount", "web"]
    assert main.run(arguments) == 0
    made = yaml.safe_load(capsys.readouterr().out)
    assert (made["metadata"], made["spec"]["metadata"]) == ({"name": "vm", "namespace": "shop"}, {"labels": {"app": "web"}})
    assert made["spec"]["template"] == {"ports": {"http": 8080}, "serviceAccount": "web"}


@pytest.mark.parametrize("more", [["--labels", "app"], ["--ports", "http=0"], ["--ports", "http=x"]])
def test_malformed_pairs_are_told(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The value that is wrong is named."""
    assert main.run(["x", "workload", "group", "create", "--name", "vm", "-n", "shop", *more]) == 1
    assert more[1] in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "said"), [(["group", "create", "--name", "vm"], "namespace"), (["entry", "configure", "-o", "vm"], "WorkloadGroup")])
def test_what_is_missing_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the flag that gives it."""
    assert main.run(["x", "workload", *arguments]) == 1
    assert said in capsys.readouterr().err
