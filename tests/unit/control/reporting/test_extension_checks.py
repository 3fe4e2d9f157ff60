"""What istiod says of EnvoyFilters and WasmPlugins by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders.extending import envoy_filter, patch

from varka.control import validation

MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
LISTENER = {"listener": {"name": "virtualInbound"}}


def plugin(**spec: Any) -> dict[str, Any]:
    """A WasmPlugin."""
    return {"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "w", "namespace": "default"}, "spec": spec}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (envoy_filter(patch("CLUSTER", "MERGE", {"connect_timeout": "1s"}, {"cluster": {"name": "x"}})), []),
        (
            envoy_filter(patch("LISTENER", "MERGE", {"stat_prefix": "x", "nonsense": 1}, LISTENER)),
            ["PatchNotApplied spec.configPatches[0].patch.value"],
        ),
        (envoy_filter(patch("CLUSTER", "ADD", {"name": ["x"]})), ["InvalidPatch spec.configPatches[0].patch.value"]),
        (envoy_filter(patch("CLUSTER", "ADD", {"name": ""})), ["PatchNotApplied spec.configPatches[0].patch.value"]),
        (envoy_filter(patch("BOOTSTRAP", "ADD", {})), ["PatchNotApplied spec.configPatches[0].patch.value"]),
        (
            envoy_filter(patch("CLUSTER", "MERGE", {"lb_policy": "RANDOM"}, {"proxy": {"proxyVersion": "("}, "cluster": {"name": "x"}})),
            ["InvalidRegex spec.configPatches[0].match.proxy.proxyVersion"],
        ),
        (
            envoy_filter(patch("LISTENER", "MERGE", {"stat_prefix": "x"}, {"listener": {"portName": "http"}})),
            ["NotActedOn spec.configPatches[0].match.listener.portName"],
        ),
        (plugin(url="oci://a/b:1"), ["NotActedOn spec.url"]),
        (plugin(url="a/b:1"), ["NotActedOn spec.url"]),
        (plugin(url="https://a/b.wasm", targetRefs=[{"kind": "Service", "name": "x"}]), ["NotActedOn spec.targetRefs[0]"]),
    ],
)
def test_findings(obj: dict[str, Any], expected: list[str]) -> None:
    """Each finding has its reason and its place."""
    ours = {"InvalidPatch", "PatchNotApplied", "InvalidRegex", "NotActedOn"}
    assert [f"{item.reason} {item.path}" for item in validation.findings(obj) if item.reason in ours] == expected


def test_a_merge_cannot_unset() -> None:
    """Values that are Envoy's defaults are told, also inside of typed configuration, and those with a presence of their own are not."""
    manager = {"@type": MANAGER, "merge_slashes": False, "normalize_path": False, "via": "", "stat_prefix": "x"}
    obj = envoy_filter(patch("NETWORK_FILTER", "MERGE", {"name": "", "typed_config": manager}, LISTENER))
    assert [item.message.partition(" back")[0] for item in validation.findings(obj) if item.reason != "Internals"] == [
        "a merge cannot set name",
        "a merge cannot set typed_config.merge_slashes",
        "a merge cannot set typed_config.via",
    ]
