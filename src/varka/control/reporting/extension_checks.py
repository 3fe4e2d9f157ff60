"""What only Envoy's own messages can tell of an EnvoyFilter: whether its patches are such messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from varka.model.extending import attachment, envoy_filters, wasm_plugins
from varka.resources import conditions
from varka.resources.conditions import Condition
from varka.resources.extensions import WasmPlugin
from varka.resources.parsing import Parsed
from varka.resources.selection import TargetReference
from varka.resources.traffic.envoy_filters import EnvoyFilter


def findings(parsed: Parsed[Any]) -> list[Condition]:
    """Errors for what is no message of Envoy at all, warnings for patches that have no effect."""
    if isinstance(parsed.spec, WasmPlugin):
        own = parsed.spec.target_ref
        found = [_REGISTRY] if parsed.spec.url and not parsed.spec.url.startswith(wasm_plugins.SCHEMES) else []
        return [*found, *_targets((*((own,) if own is not None else ()), *parsed.spec.target_refs))]
    if isinstance(parsed.spec, EnvoyFilter):
        return [*_targets(parsed.spec.target_refs), *_findings(parsed.meta.key, parsed.spec)]
    return []


_REGISTRY = conditions.warning("spec.url", "modules are not taken from image registries; use http://, https:// or file://", "NotActedOn")


def _targets(references: tuple[TargetReference, ...]) -> list[Condition]:
    return [
        conditions.warning(f"spec.targetRefs[{index}]", f"a {item.kind} of {item.group or 'the core group'} leads to no proxy; name a Gateway", "NotActedOn")
        for index, item in enumerate(references)
        if item.group != attachment.GATEWAY_API or item.kind not in {"Gateway", "GatewayClass"}
    ]


def _findings(origin: str, spec: EnvoyFilter) -> Iterator[Condition]:
    from varka.envoy.patching import check  # Envoy's messages take a while to import, and most resources are no EnvoyFilters

    for index, given in enumerate(spec.config_patches):
        where = f"spec.configPatches[{index}]"
        asked = given.match.proxy.proxy_version if given.match is not None and given.match.proxy is not None else ""
        try:
            re.compile(asked)
        except re.error as problem:
            yield conditions.error(f"{where}.match.proxy.proxyVersion", f"is no regular expression: {problem}", "InvalidRegex")
        if given.match is not None and given.match.listener is not None and given.match.listener.port_name:
            yield conditions.warning(f"{where}.match.listener.portName", "has no effect; use portNumber", "NotActedOn")
        if given.patch is None or given.apply_to == "INVALID" or given.patch.operation == "INVALID":
            continue
        for finding in check.check(envoy_filters.patch(origin, index, given)):
            make = conditions.error if finding.serious else conditions.warning
            yield make(f"{where}.patch.value", finding.message, "InvalidPatch" if finding.serious else "PatchNotApplied")
