from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from tests.system.clusters import Cluster, eventually

Make = Callable[[str], Cluster]
_ASK = 'for i in 1 2 3 4 5 6; do curl -sS -m 3 -o /dev/null -w "%{http_code} " http://web/; done'


@pytest.fixture
def populated(fresh_cluster: Make) -> Iterator[Cluster]:
    """A cluster with a client pod and two servers behind the service `web`."""
    cluster = fresh_cluster("pods")
    cluster.up()
    cluster.kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2")
    cluster.kubectl("expose", "deployment", "web", "--port=80")
    cluster.kubectl("run", "client", "--image=curlimages/curl", "--command", "--", "sleep", "3600")
    ready(cluster)
    yield cluster


def ready(cluster: Cluster) -> None:
    """Wait for all pods."""
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=20s")


def asks(cluster: Cluster) -> str:
    """Status codes of six requests from the client pod through the service."""
    return cluster.kubectl("exec", "client", "--", "sh", "-c", _ASK, check=False).stdout.strip()


def test_pods_outlive_the_node(populated: Cluster) -> None:
    """Its successor takes them back: same start, no restart, and the service goes on."""
    before = populated.get("pod", "client")["status"]["containerStatuses"][0]
    old = populated.pid("node")
    os.kill(old, 9)
    eventually(lambda: populated.pid("node") not in (0, old), what="a new node")
    assert asks(populated) == "200 200 200 200 200 200"
    ready(populated)
    assert populated.get("pod", "client")["status"]["containerStatuses"][0] == before


@pytest.mark.parametrize("what", ["init", "supervisor", "keep"])
def test_pods_start_again_when_their_namespaces_have_ended(populated: Cluster, what: str) -> None:
    """After a killed init, a killed supervisor, and down --keep the stored pods run, keep their addresses and count one more restart."""
    before = populated.get("pod", "client")["status"]["podIP"]
    assert restarts(populated) == [0, 0, 0]
    if what == "keep":
        populated.varka("down", "--keep")
    else:
        os.kill(populated.pid(what), 9)
    if what == "init":
        eventually(lambda: populated.status()["processes"][2]["restarts"] == 1, what="a new init")
    else:
        populated.up()
    eventually(lambda: asks(populated) == "200 200 200 200 200 200", what="the service")
    assert populated.get("pod", "client")["status"]["podIP"] == before
    eventually(lambda: restarts(populated) == [1, 1, 1], what="the counts of restarts")


def restarts(cluster: Cluster) -> list[int]:
    """How often the containers of the three pods were started again."""
    return [status["restartCount"] for pod in cluster.get("pods")["items"] for status in pod["status"]["containerStatuses"]]
