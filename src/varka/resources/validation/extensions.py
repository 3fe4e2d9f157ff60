"""WasmPlugin and EnvoyFilter: where a module comes from, and what a patch does."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from varka.resources import extensions as written
from varka.resources.parsing import Meta
from varka.resources.traffic.envoy_filters import EnvoyFilter
from varka.resources.validation import names
from varka.resources.validation.findings import Findings

_SHA256 = re.compile("[a-f0-9]{64}")
_SCHEMES = {"", "http", "https", "oci", "file"}


def check_wasm_plugin(spec: written.WasmPlugin, meta: Meta, found: Findings) -> None:
    """Check a whole WasmPlugin."""
    names.check_targets(spec.selector, spec.target_ref, spec.target_refs, found)
    scheme = urlsplit(spec.url).scheme if "://" in spec.url else ""
    if not spec.url:
        found.error("spec.url", "url field needs to be set")
    elif scheme not in _SCHEMES:
        found.error("spec.url", f"url contains unsupported scheme {scheme!r}; use http, https, oci or file")
    if spec.sha256 and not _SHA256.fullmatch(spec.sha256):
        found.error("spec.sha256", "sha256 field must match [a-f0-9]{64} pattern")
    env = spec.vm_config.env if spec.vm_config is not None else ()
    seen: set[str] = set()
    for index, item in enumerate(env):
        path = f"spec.vmConfig.env[{index}]"
        if item.value_from == "HOST" and item.value:
            found.error(path, "value may only be set when valueFrom is INLINE")
        if item.name in seen:
            found.error(path, f"duplicate env {item.name!r}")
        seen.add(item.name)


def check_envoy_filter(spec: EnvoyFilter, meta: Meta, found: Findings) -> None:
    """Check a whole EnvoyFilter."""
    if spec.workload_selector is not None and spec.target_refs:
        found.error("spec", "only one of targetRefs or workloadSelector can be set")
    if spec.workload_selector is not None and not spec.workload_selector.labels:
        found.warning("spec.workloadSelector", "workload selector specified without labels, will be applied to all workloads in the namespace")
    for index, item in enumerate(spec.config_patches):
        path = f"spec.configPatches[{index}]"
        if item.apply_to == "INVALID":
            found.error(f"{path}.applyTo", "applyTo is required")
        if item.patch is None:
            found.error(f"{path}.patch", "patch is required")
        elif item.patch.operation == "INVALID":
            found.error(f"{path}.patch.operation", "operation is required")
        elif item.patch.operation != "REMOVE" and not item.patch.value:
            found.error(f"{path}.patch.value", "value is required unless the operation is REMOVE")
