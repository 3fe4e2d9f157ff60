"""What the validation webhook says of a resource: the same findings that become conditions on resources already stored."""

from __future__ import annotations

from varka import resources
from varka.client.api import Object
from varka.control.reporting import extension_checks
from varka.resources import acting, validation
from varka.resources.conditions import Condition, Severity


def findings(obj: Object) -> list[Condition]:
    """Everything that reading and checking a resource yields."""
    parsed = resources.parse(obj)
    return list(dict.fromkeys([*parsed.conditions, *validation.validate(parsed), *extension_checks.findings(parsed)]))


def unused(obj: Object) -> list[Condition]:
    """The fields that are accepted but that nothing acts on."""
    return list(acting.not_acted_on(resources.parse(obj)))


def problems(obj: Object) -> list[str]:
    """As the webhook wants it: errors, and warnings with the prefix `warning: `; nothing for kinds that are not Istio's."""
    if not str(obj.get("apiVersion") or "").partition("/")[0].endswith("istio.io"):
        return []
    found = findings(obj)
    errors = [one.text for one in found if one.severity is Severity.ERROR]
    return [*errors, *(f"warning: {one.text}" for one in found if one.severity is not Severity.ERROR)]
