"""What a proxy says of itself to the other side and in its metrics, and the variables of its environment that hold it."""

from __future__ import annotations

FACTS = {
    "workload": "VARKA_WORKLOAD",
    "namespace": "VARKA_NAMESPACE",
    "service": "VARKA_CANONICAL_SERVICE",
    "revision": "VARKA_CANONICAL_REVISION",
}


def environment(workload: str, namespace: str, service: str, revision: str) -> dict[str, str]:
    """The variables that a proxy must be started with."""
    values = {"workload": workload, "namespace": namespace, "service": service or workload, "revision": revision or "latest"}
    return {FACTS[fact]: value for fact, value in values.items()}
