"""LabelSelectors of Kubernetes, with exact labels and expressions."""

from __future__ import annotations

from collections.abc import Mapping

from varka.resources.kubernetes import LabelExpression, LabelSelector


def matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether labels fit; no selector, or an empty one, takes everything."""
    if selector is None:
        return True
    exact = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return exact and all(_holds(term, labels) for term in selector.match_expressions)


def _holds(term: LabelExpression, labels: Mapping[str, str]) -> bool:
    value = labels.get(term.key)
    match term.operator:
        case "In":
            return value in term.values
        case "NotIn":
            return value not in term.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
