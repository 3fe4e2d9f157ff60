"""Whether a resource makes sense: what the schema cannot say, with the verdicts that Istio gives.

`validate(parsed)` answers with errors and warnings, each with the path of the field. An error means that the resource
would be refused at admission; a warning lets it in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from varka.resources.conditions import Condition, Severity
from varka.resources.parsing import Meta, Parsed
from varka.resources.validation import (
    authentication,
    authorization_policies,
    constraints,
    destination_rules,
    extensions,
    gateways,
    service_entries,
    sidecars,
    telemetry,
    virtual_services,
    workloads,
)
from varka.resources.validation.findings import Findings

_DRY_RUN = "istio.io/dry-run"
_CHECKS: dict[str, Callable[[Any, Meta, Findings], None]] = {
    "VirtualService": virtual_services.check,
    "DestinationRule": destination_rules.check,
    "Gateway": gateways.check,
    "ServiceEntry": service_entries.check,
    "WorkloadEntry": workloads.check_entry,
    "WorkloadGroup": workloads.check_group,
    "Sidecar": sidecars.check,
    "ProxyConfig": workloads.check_proxy_config,
    "EnvoyFilter": extensions.check_envoy_filter,
    "WasmPlugin": extensions.check_wasm_plugin,
    "Telemetry": telemetry.check,
    "PeerAuthentication": authentication.check_peer,
    "RequestAuthentication": authentication.check_request,
    "AuthorizationPolicy": authorization_policies.check,
}


def usable(parsed: Parsed[Any]) -> Parsed[Any]:
    """The same resource, without its spec where an error would have refused it at admission: nobody is to act on that.

    Policies of `security.istio.io` stay: to leave one out could let in whom it keeps out.
    """
    if parsed.spec is None or not parsed.group.endswith("istio.io") or parsed.group.startswith("security."):
        return parsed
    errors = tuple(one for one in validate(parsed) if one.severity is Severity.ERROR)
    return replace(parsed, spec=None, conditions=(*parsed.conditions, *(one for one in errors if one not in parsed.conditions))) if errors else parsed


def validate(parsed: Parsed[Any]) -> tuple[Condition, ...]:
    """What is wrong or doubtful, errors of reading included; errors come first."""
    found = Findings(parsed.conditions)
    if parsed.spec is not None and parsed.group.endswith("istio.io"):
        constraints.check(parsed.spec, "spec", found)
        if _DRY_RUN in parsed.meta.annotations and parsed.kind != "AuthorizationPolicy":
            found.error(f"metadata.annotations[{_DRY_RUN}]", "dry-run is only supported for AuthorizationPolicy")
        check = _CHECKS.get(parsed.kind)
        if check is not None:
            check(parsed.spec, parsed.meta, found)
    return found.sorted()
