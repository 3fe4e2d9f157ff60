"""WasmPlugin and EnvoyFilter: where a module comes from, and what a patch does."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from varka.base import regexes
from varka.resources import extensions as written
from varka.resources.parsing import Meta
from varka.resources.traffic import envoy_filters
from varka.resources.validation import names
from varka.resources.validation.findings import Findings

_SHA256 = re.compile("[a-f0-9]{64}")
_INTERNALS = "patches depend on what proxies are given inside, which changes between versions; prefer another API where there is one"
ADMISSION_ONLY = "Internals"
"""The reason of a warning that holds for every resource of its kind: it is said when one is written, its status does not repeat it."""
_LISTENERS = ("LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER")
_ROUTES = ("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE")
_MATCHES = {**dict.fromkeys(_LISTENERS, "listener"), **dict.fromkeys(_ROUTES, "route_configuration"), "CLUSTER": "cluster"}
"""What an object is found by; other objects are found by the context alone."""
_FIELDS = {"listener": "listener", "route_configuration": "routeConfiguration", "cluster": "cluster"}
_CONNECTION_MANAGERS = ("envoy.filters.network.http_connection_manager", "envoy.http_connection_manager")
_SCHEMES = {"", "http", "https", "oci", "file"}


def check_wasm_plugin(spec: written.WasmPlugin, meta: Meta, found: Findings) -> None:
    """Check a whole WasmPlugin."""
    names.check_targets(spec.selector, spec.target_ref, spec.target_refs, found)
    scheme = urlsplit(spec.url).scheme if "://" in spec.url else ""
    if not spec.url:
        found.error("spec.url", "url field needs to be set")
    elif re.search(r"[\s\x00-\x1f]", spec.url):
        found.error("spec.url", "url cannot have white space")
    elif scheme not in _SCHEMES:
        found.error("spec.url", f"url contains unsupported scheme {scheme!r}; use http, https, oci or file")
    if spec.sha256 and not _SHA256.fullmatch(spec.sha256):
        found.error("spec.sha256", "sha256 field must be 64 characters long" if len(spec.sha256) != 64 else "sha256 field must match [a-f0-9]{64} pattern")
    for index, match in enumerate(spec.match):
        for number, port in enumerate(match.ports):
            names.check_port(port.number, f"spec.match[{index}].ports[{number}].number", found)
    env = spec.vm_config.env if spec.vm_config is not None else ()
    seen: set[str] = set()
    for index, item in enumerate(env):
        path = f"spec.vmConfig.env[{index}]"
        if item.value_from == "HOST" and item.value:
            found.error(path, "value may only be set when valueFrom is INLINE")
        if item.name in seen:
            found.error(path, f"duplicate env {item.name!r}")
        seen.add(item.name)


def check_envoy_filter(spec: envoy_filters.EnvoyFilter, meta: Meta, found: Findings) -> None:
    """Check a whole EnvoyFilter."""
    if spec.workload_selector is not None and spec.target_refs:
        found.error("spec", "only one of targetRefs or workloadSelector can be set")
    if spec.workload_selector is not None and not spec.workload_selector.labels:
        found.warning("spec.workloadSelector", "workload selector specified without labels, will be applied to all workloads in the namespace")
    if spec.config_patches:
        found.warning("spec.configPatches", _INTERNALS, ADMISSION_ONLY)
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
        if item.match is not None:
            _check_match(item.match, item.apply_to, f"{path}.match", found)


def _check_match(match: envoy_filters.ObjectMatch, apply_to: str, path: str, found: Findings) -> None:
    problem = regexes.problem(match.proxy.proxy_version) if match.proxy is not None else ""
    if problem:
        found.error(f"{path}.proxy.proxyVersion", f"is not a regular expression of RE2: {problem}")
    given = [name for name in ("listener", "route_configuration", "cluster") if getattr(match, name) is not None]
    wanted = _MATCHES.get(apply_to)
    if wanted is not None and given and wanted not in given:
        found.error(path, f"applyTo {apply_to} cannot have a match of {_FIELDS[given[0]]}; use {_FIELDS[wanted]}")
    chain = match.listener.filter_chain if match.listener is not None and wanted == "listener" else None
    if chain is not None and chain.filter is not None:
        _check_filter(chain.filter, apply_to, f"{path}.listener.filterChain.filter", found)


def _check_filter(given: envoy_filters.FilterMatch, apply_to: str, path: str, found: Findings) -> None:
    if apply_to in {"LISTENER", "FILTER_CHAIN"}:
        found.warning(path, f"a match of a filter has no effect with applyTo {apply_to}")
    if not given.name:
        found.error(f"{path}.name", "a match of a filter needs its name")
    elif given.sub_filter is not None:
        if apply_to != "HTTP_FILTER":
            found.error(f"{path}.subFilter", "a match of a filter inside a filter is for applyTo HTTP_FILTER only")
        elif given.name not in _CONNECTION_MANAGERS:
            found.error(f"{path}.name", f"only {_CONNECTION_MANAGERS[0]} has filters inside")
        elif not given.sub_filter.name:
            found.error(f"{path}.subFilter.name", "a match of a filter needs its name")
