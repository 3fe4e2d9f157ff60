"""`discoverySelectors`: which namespaces the mesh looks at. What is in the others does not exist for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from varka.model.inputs import Inputs
from varka.model.memo import Kept
from varka.model.view import Term

_EVERYWHERE = frozenset({"nodes", "namespaces"})


Selector = tuple[Term, ...]
OPERATORS = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})


def selectors(given: Any) -> tuple[Selector, ...]:
    """From a list of label selectors; ValueError when it is none. One of them must fit."""
    if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
        raise ValueError("must be a list of label selectors")
    return tuple(_selector(item) for item in given)


def _selector(given: Mapping[str, Any]) -> Selector:
    labels, expressions = given.get("matchLabels", {}), given.get("matchExpressions", [])
    if not isinstance(labels, Mapping) or not isinstance(expressions, list) or set(given) - {"matchLabels", "matchExpressions"}:
        raise ValueError("must be a list of label selectors with matchLabels or matchExpressions")
    terms = [Term(key=str(key), operator="In", values=(str(value),)) for key, value in sorted(labels.items())]
    for item in expressions:
        if not isinstance(item, Mapping) or item.get("operator") not in OPERATORS:
            raise ValueError(f"an expression needs an operator: {', '.join(sorted(OPERATORS))}")
        terms.append(Term(key=str(item.get("key")), operator=str(item["operator"]), values=tuple(str(value) for value in item.get("values") or ())))
    return tuple(terms)


def discovered(inputs: Inputs, chosen: tuple[Selector, ...], root: str, kept: Kept) -> Inputs:
    """The inputs without what is in namespaces that no selector fits; the root namespace is always looked at."""
    names = {root} | {item.meta.name for item in inputs.namespaces if _fits(chosen, item.meta.labels)}
    changed: dict[str, Any] = {
        name: kept.tuple(("discovered", name), tuple(item for item in getattr(inputs, name) if item.meta.namespace in names))
        for name in inputs.__struct_fields__
        if name not in _EVERYWHERE and _is_resources(getattr(inputs, name))
    }
    return replace(inputs, **changed)


def _is_resources(value: object) -> bool:
    return isinstance(value, tuple) and all(hasattr(item, "meta") for item in value)


def _fits(chosen: Iterable[Selector], labels: Mapping[str, str]) -> bool:
    return any(all(term.holds(labels) for term in selector) for selector in chosen)
