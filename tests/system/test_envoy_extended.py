"""EnvoyFilters on real Envoys: rate limits as Istio's documentation writes them, discovered filters, added listeners."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def seen() -> Any:
    """What the requests between real Envoys saw."""
    if shutil.which("nft") is None or subprocess.run(["unshare", "-rn", "true"], check=False).returncode != 0:
        pytest.skip("needs nft and unprivileged namespaces")
    done = subprocess.run(["unshare", "-rn", sys.executable, "-m", "tests.system.envoy_extended"], cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_envoy_accepts_everything(seen: Any) -> None:
    """No patched resource is refused by Envoy, and no patch is left out."""
    assert (seen["refusals"], seen["problems"]) == ([], [])


def test_every_patch_met_something(seen: Any) -> None:
    """Each patch is applied by the proxies that it is for, and by no other."""
    assert seen["applied"] == {
        "client": [],
        "web": [*(f"default/discovered#{index}" for index in range(4)), "default/local-limit#0"],
        "ingress": [f"istio-system/global-limit#{index}" for index in range(5)],
    }


def test_a_local_rate_limit_answers_429(seen: Any) -> None:
    """A bucket of two tokens lets two requests through; the others get 429 with the header that the filter adds."""
    assert [(one["status"], one["headers"].get("x-local-rate-limit")) for one in seen["limited"]] == [(200, None), (200, None), (429, "true"), (429, "true")]


def test_a_local_rate_limit_is_for_its_port(seen: Any) -> None:
    """Another port of the same workload is not limited."""
    assert seen["unlimited"] == [200] * 4


def test_a_rate_limit_service_decides(seen: Any) -> None:
    """The gateway asks the service with the descriptors of the virtual host, and answers as it says."""
    assert (seen["under"]["status"], seen["over"]["status"]) == (200, 429)
    assert seen["over"]["headers"]["x-envoy-ratelimited"] == "true"


def test_a_request_without_descriptors_is_not_asked_about(seen: Any) -> None:
    """The service hears of requests with the header only."""
    assert seen["unkind"]["status"] == 200
    assert seen["asked"] == [{"domain": "shop", "kind": "under"}, {"domain": "shop", "kind": "over"}]


def test_a_filter_is_discovered_by_name(seen: Any) -> None:
    """A filter that an EXTENSION_CONFIG patch configures reaches Envoy as a resource of its own."""
    assert seen["first"]["headers"]["x-hello"] == "from-lua"


def test_an_added_route_goes_first(seen: Any) -> None:
    """INSERT_FIRST of a route on a gateway takes its path from the VirtualService."""
    assert (seen["direct"]["status"], seen["direct"]["body"]) == (202, "added")


def test_an_added_listener_listens(seen: Any) -> None:
    """A listener that exists only in an EnvoyFilter takes connections."""
    assert seen["listener"]["status"] == 204


def test_a_network_filter_is_replaced(seen: Any) -> None:
    """REPLACE puts another filter at the end of a TCP chain."""
    assert seen["replaced"] == "replaced"


def test_a_connection_manager_is_merged(seen: Any) -> None:
    """MERGE into the connection manager adds a Via header to all answers of the workload."""
    assert seen["limited"][0]["headers"]["via"] == "web-sidecar"


def test_a_module_from_a_file_sees_its_port(seen: Any) -> None:
    """A WasmPlugin adds a header to the answers of the port that it is for, and of no other."""
    assert seen["first"]["headers"]["x-wasm"] == "from-file"
    assert "x-wasm" not in seen["limited"][0]["headers"]


def test_a_fetched_module_sees_everything(seen: Any) -> None:
    """A module that the control plane has fetched reaches Envoy inside of its resource."""
    assert [seen[name]["headers"]["x-fetched"] for name in ("first", "under")] == ["yes", "yes"]
    assert seen["limited"][0]["headers"]["x-fetched"] == "yes"


def test_a_module_that_is_missing(seen: Any) -> None:
    """Without its module a plugin that fails closed refuses requests, and one that fails open lets them pass."""
    assert (seen["not-fetched"]["status"], seen["under"]["status"]) == (403, 200)
