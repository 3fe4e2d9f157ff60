"""What only Envoy's own messages can tell of an EnvoyFilter: whether its patches are such messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from varka.model.extending import envoy_filters, wasm_plugins
from varka.resources import conditions
from varka.resources.conditions import Condition
from varka.resources.extensions import WasmPlugin
from varka.resources.parsing import Parsed
from varka.resources.traffic.envoy_filters import EnvoyFilter


def findings(parsed: Parsed[Any]) -> list[Condition]:
    """Errors for what is no message of Envoy at all, warnings for patches that have no effect."""
    if isinstance(parsed.spec, WasmPlugin):
        return [_REGISTRY] if parsed.spec.url and not parsed.spec.url.startswith(wasm_plugins.SCHEMES) else []
    return list(_findings(parsed.meta.key, parsed.spec)) if isinstance(parsed.spec, EnvoyFilter) else []


_REGISTRY = conditions.warning("spec.url", "modules are not taken from image registries; use http://, https:// or file://", "NotActedOn")


def _findings(origin: str, spec: EnvoyFilter) -> Iterator[Condition]:
    from varka.envoy.patching import check  # Envoy's messages take a while to import, and most resources are no EnvoyFilters

    for index, given in enumerate(spec.config_patches):
        where = f"spec.configPatches[{index}]"
        asked = given.match.proxy.proxy_version if given.match is not None and given.match.proxy is not None else ""
        try:
            re.compile(asked)
        except re.error as problem:
            yield conditions.error(f"{where}.match.proxy.proxyVersion", f"is no regular expression: {problem}", "InvalidRegex")
        if given.patch is None or given.apply_to == "INVALID" or given.patch.operation == "INVALID":
            continue
        for finding in check.check(envoy_filters.patch(origin, index, given)):
            make = conditions.error if finding.serious else conditions.warning
            yield make(f"{where}.patch.value", finding.message, "InvalidPatch" if finding.serious else "PatchNotApplied")
