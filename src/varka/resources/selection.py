"""How a policy says which workloads it is for: labels of pods, or references to gateways and services."""

from __future__ import annotations

from typing import Annotated

from varka.resources.schema import NonEmpty, Schema, Spec

_LABEL_KEYS = (
    ('self.all(key, !key.contains("*"))', "wildcard not allowed in label key match"),
    ("self.all(key, key.size() != 0)", "key must not be empty"),
)
_LABEL_VALUE = (('!self.contains("*")', "wildcard not allowed in label value match"),)
MatchValue = Annotated[str, Schema(maxLength=63, rules=_LABEL_VALUE)]
LabelValue = Annotated[str, Schema(maxLength=63, rules=(('!self.contains("*")', "wildcard is not supported in selector"),))]


class WorkloadSelector(Spec):
    """Labels that a workload must carry, all of them; none: every workload of the namespace."""

    match_labels: Annotated[dict[str, MatchValue], Schema(maxProperties=4096, rules=_LABEL_KEYS)] = {}


class LabelledWorkloads(Spec):
    """The older form of a selector, under the name `labels`."""

    labels: Annotated[dict[str, LabelValue], Schema(maxProperties=256)] = {}


class TargetReference(Spec):
    """A gateway or service that a policy is attached to, in the policy's own namespace."""

    group: Annotated[str, Schema(maxLength=253, pattern=r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")] = ""
    kind: Annotated[NonEmpty, Schema(required=True, maxLength=63, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")] = ""
    name: Annotated[NonEmpty, Schema(required=True, maxLength=253)] = ""
    namespace: Annotated[str, Schema(rules=(("self.size() == 0", "cross namespace referencing is not currently supported"),))] = ""


References = Annotated[tuple[TargetReference, ...], Schema(maxItems=16)]

ONE_TARGET = (
    (
        "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
        "only one of targetRefs or selector can be set",
    ),
)

__all__ = ["ONE_TARGET", "LabelledWorkloads", "References", "TargetReference", "WorkloadSelector"]
