from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from varka.envoy.routing import domains

CASES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "authn" / "virtual_host_domains.yaml"
pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not CASES.exists(), reason="the shared conformance cases are not on this machine")]


def cases() -> list[Any]:
    """All cases of the file, none where it is absent."""
    return yaml.safe_load(CASES.read_text())["cases"] if CASES.exists() else []


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_domains(case: Any) -> None:
    """The host has exactly the domains that the case lists, in any order."""
    node, service = case["node"], case["service"]
    cluster = node.get("Metadata", {}).get("ClusterID", "")
    addresses = service["Attributes"].get("ClusterVIPs", service.get("ClusterVIPs", {})).get("Addresses", {}).get(cluster, [])
    if not addresses and service.get("DefaultAddress"):
        addresses = [service["DefaultAddress"]]
    if not addresses:
        addresses = (service.get("ClusterVIPs") or {}).get("Addresses", {}).get(cluster, [])
    found = domains.of_host(service["Hostname"], node["DNSDomain"], addresses, node.get("IPAddresses", ()))
    assert sorted(found) == sorted(case["want"])
