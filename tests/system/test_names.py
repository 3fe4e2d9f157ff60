"""DNS capture: hosts that only the mesh knows, answered beside the workload, at addresses that were made up for them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml
from tests.system.clusters import PROGRAMS, Cluster, eventually

CAPTURE = json.dumps({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}})


def pod(name: str, image: str, command: list[str], **annotations: str) -> dict[str, object]:
    """A pod with one container."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": annotations},
        "spec": {"containers": [{"name": name, "image": image, **({"command": command} if command else {})}]},
    }


_ECHO = "import socket,sys\ns=socket.create_server(('',9000))\nwhile True:\n c,_=s.accept()\n c.sendall(sys.argv[1].encode())\n c.close()\n"


def entry(name: str, **fields: object) -> dict[str, object]:
    """A ServiceEntry for `<name>.example`, TCP on port 9000."""
    spec = {"hosts": [f"{name}.example"], "location": "MESH_EXTERNAL", "ports": [{"number": 9000, "name": "tcp", "protocol": "TCP"}], **fields}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def mesh() -> Iterator[Cluster]:
    """A client that captures DNS, and two servers outside of the mesh."""
    made = Cluster("names")
    try:
        made.up()
        made.run(str(PROGRAMS / "istioctl"), "install", "--set", "profile=minimal", "-y", timeout=120)
        outside = {"sidecar.istio.io/inject": "false"}
        made.kubectl("label", "namespace", "default", "istio-injection=enabled")
        servers = [pod(name, "python:3", ["python3", "-c", _ECHO, name], **outside) for name in ("one", "two")]
        client = pod("client", "curlimages/curl", ["sleep", "infinity"], **{"proxy.istio.io/config": CAPTURE})
        plain = pod("plain", "curlimages/curl", ["sleep", "infinity"])
        headless = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "direct"},
            "spec": {"clusterIP": "None", "selector": {"app": "one"}, "ports": [{"name": "tcp", "port": 9000}]},
        }
        made.apply(yaml.safe_dump_all([*servers, client, plain, headless]))
        made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s", timeout=90)
        addresses = {name: made.get("pod", name)["status"]["podIP"] for name in ("one", "two")}
        made.apply(yaml.safe_dump_all([entry(name, resolution="STATIC", endpoints=[{"address": address}]) for name, address in addresses.items()]))
        yield made
    finally:
        made.destroy()


def inside(mesh: Cluster, script: str, where: str = "client") -> str:
    return mesh.kubectl("exec", where, "-c", where, "--", "sh", "-c", script, check=False).stdout.strip()


def test_two_hosts_on_one_port_are_told_apart(mesh: Cluster) -> None:
    """TCP carries no name; the addresses that were made up say which host is meant."""
    eventually(lambda: inside(mesh, "nc -w 3 one.example 9000 </dev/null") == "one", what="an answer of the first host")
    assert inside(mesh, "nc -w 3 two.example 9000 </dev/null") == "two"


def test_made_up_addresses_are_kept_in_the_status(mesh: Cluster) -> None:
    """The workload is told the address that the ServiceEntry's status shows."""

    def written() -> str:
        found = mesh.get("serviceentry", "one").get("status", {}).get("addresses", [])
        return found[0]["value"] if found and found[0]["host"] == "one.example" else ""

    address = eventually(written, what="an address in the status")
    assert address.startswith("240.240.")
    assert address in inside(mesh, "nslookup one.example")


def test_names_of_services_and_of_the_outside(mesh: Cluster) -> None:
    """Short names, headless services and names that the mesh does not know resolve as they did; a name that nobody knows does not."""
    assert mesh.get("service", "kubernetes")["spec"]["clusterIP"] in inside(mesh, "nslookup kubernetes")
    assert mesh.get("pod", "one")["status"]["podIP"] in inside(mesh, "nslookup direct.default.svc.cluster.local")
    assert mesh.get("service", "istiod", "-n", "istio-system")["spec"]["clusterIP"] in inside(mesh, "nslookup istiod.istio-system")
    assert "NXDOMAIN" in inside(mesh, "nslookup nobody.default.svc.cluster.local 2>&1")


def test_names_go_and_come_with_their_entries(mesh: Cluster) -> None:
    """A new host is answered without a restart, and a deleted one no longer."""
    mesh.apply(yaml.safe_dump(entry("three", resolution="DNS", endpoints=[{"address": "two.example.invalid"}])))
    eventually(lambda: "240.240." in inside(mesh, "nslookup three.example"), what="an answer for a new host")
    mesh.kubectl("delete", "serviceentry", "three")
    eventually(lambda: "240.240." not in inside(mesh, "nslookup three.example 2>&1"), what="the end of a deleted host")


def test_without_capture_nothing_is_made_up(mesh: Cluster) -> None:
    """A pod that does not capture DNS asks the cluster's name server, which does not know the host."""
    assert "240.240." not in inside(mesh, "nslookup one.example 2>&1", where="plain")
