"""Whether a resource makes sense: what the schema cannot say, with the verdicts that Istio gives.

`validate(parsed)` answers with errors and warnings, each with the path of the field. An error means that the resource
would be refused at admission; a warning lets it in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from varka.resources.conditions import Condition
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

_CHECKS: dict[str, Callable[[Any, Meta, Findings], None]] = {
    "VirtualService": virtual_services.check,
    "DestinationRule": destination_rules.check,
    "Gateway": gateways.check,
    "ServiceEntry": service_entries.check,
    "WorkloadEntry": workloads.check_entry,
    "WorkloadGroup": workloads.check_group,
    "Sidecar": sidecars.check,
    "EnvoyFilter": extensions.check_envoy_filter,
    "WasmPlugin": extensions.check_wasm_plugin,
    "Telemetry": telemetry.check,
    "PeerAuthentication": authentication.check_peer,
    "RequestAuthentication": authentication.check_request,
    "AuthorizationPolicy": authorization_policies.check,
}


def validate(parsed: Parsed[Any]) -> tuple[Condition, ...]:
    """What is wrong or doubtful, errors of reading included; errors come first."""
    found = Findings(parsed.conditions)
    if parsed.spec is not None and parsed.group.endswith("istio.io"):
        constraints.check(parsed.spec, "spec", found)
        check = _CHECKS.get(parsed.kind)
        if check is not None:
            check(parsed.spec, parsed.meta, found)
    return found.sorted()
