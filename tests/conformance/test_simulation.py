"""Calls through a proxy, as the control plane of reference routes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.builders import simulated

from varka.analysis.simulation import configuration, simulate
from varka.analysis.simulation.call import Call, Direction, Protocol, Security
from varka.analysis.simulation.result import Result
from varka.envoy import generate
from varka.model import mesh_settings, proxies
from varka.model.view import MeshSettings, Proxy, ProxyType, ProxyView

HERE = Path(__file__).resolve().parent
CASES = HERE.parents[2] / "shared" / "conformance" / "simulation.yaml"
LEFT_OUT: Mapping[str, str] = yaml.safe_load((HERE / "unsupported_simulation.yaml").read_text()) or {}

pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not CASES.is_file(), reason="the conformance cases are not there")]


def _cases() -> list[Any]:
    return yaml.safe_load(CASES.read_text())["cases"] if CASES.is_file() else []


def _mesh(case: Mapping[str, Any]) -> MeshSettings:
    return mesh_settings.of(case.get("mesh_config") or {})[0]


def _proxy(raw: Mapping[str, Any]) -> Proxy:
    addresses = raw.get("ip_addresses") or ["1.1.1.1"]
    kind, namespace = raw.get("type", "sidecar"), raw.get("namespace", "default")
    given = {str(key): "true" if value is True else value for key, value in (raw.get("metadata") or {}).items()}
    metadata = {"LABELS": raw.get("labels") or {}, "INSTANCE_IPS": ",".join(addresses), **{_metadata_name(key): value for key, value in given.items()}}
    found = proxies.parse(f"{kind}~{addresses[0]}~app.{namespace}~{namespace}.svc.cluster.local", metadata)
    assert found is not None
    return found


def _metadata_name(name: str) -> str:
    return {"ClusterID": "CLUSTER_ID", "DNSCapture": "DNS_CAPTURE", "DNSAutoAllocate": "DNS_AUTO_ALLOCATE"}.get(name, name)


def _view(case: Mapping[str, Any]) -> ProxyView:
    return simulated.view(f"{case.get('config') or ''}\n---\n{case.get('kube_config') or ''}", _proxy(case["proxy"]), _mesh(case))


def _call(raw: Mapping[str, Any], proxy: Proxy) -> Call:
    direction = Direction(raw.get("mode") or ("gateway" if proxy.type is ProxyType.ROUTER else "outbound"))
    protocol = Protocol(raw.get("protocol") or "tcp")
    return Call(
        port=raw["port"],
        address=raw.get("address") or "1.3.3.7",
        direction=direction,
        protocol=protocol,
        security=Security(raw.get("tls") or ("tls" if raw.get("sni") else "plaintext")),
        sni=raw.get("sni"),
        alpn=(raw["alpn"],) if raw.get("alpn") else None,
        host=raw.get("host") or "",
        path=raw.get("path") or "/",
        credentials=raw.get("mtls_secret_config_name") or "default",
    )


def _seen(result: Result) -> dict[str, Any]:
    return {
        "error": result.failure.value if result.failure is not None else None,
        "listener": result.listener,
        "filter_chain": result.filter_chain,
        "route_config": result.route_config,
        "virtual_host": result.virtual_host,
        "route": result.route,
        "cluster": result.cluster,
    }


def _wanted(raw: Mapping[str, Any]) -> dict[str, Any]:
    expect = dict(raw)
    strict = expect.pop("strict", False)
    cluster = expect.pop("cluster_fqdn", None) or expect.pop("cluster", None)
    expect.pop("cluster", None)
    wanted: dict[str, Any] = {"error": expect.pop("error", None), **expect}
    if cluster:
        wanted["cluster"] = cluster
    if strict:
        for name in ("listener", "filter_chain", "route_config", "virtual_host", "route", "cluster"):
            wanted.setdefault(name, "")
    return wanted


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case["id"])
def test_calls_go_where_they_should(case: Any) -> None:
    """Every call of the case meets the listener, chain, routes and cluster that it expects, or the error."""
    if case["id"] in LEFT_OUT:
        pytest.skip(LEFT_OUT[case["id"]])
    view = _view(case)
    config = configuration.of_generated(generate.generate(view))
    wrong = []
    for item in case["calls"]:
        result = simulate.run(config, _call(item["call"], view.proxy))
        seen, wanted = _seen(result), _wanted(item["expect"])
        if any(seen[name] != value for name, value in wanted.items()):
            wrong.append((item["name"], {name: (seen[name], value) for name, value in wanted.items() if seen[name] != value}, result.steps))
    assert not wrong, "\n".join(f"{name}: {found}\n   {[f'{step.stage}: {step.chosen} {step.reason}' for step in steps]}" for name, found, steps in wrong)


def test_what_is_left_out_exists() -> None:
    """Every case that is left out is one of the cases."""
    assert set(LEFT_OUT) <= {case["id"] for case in _cases()}
