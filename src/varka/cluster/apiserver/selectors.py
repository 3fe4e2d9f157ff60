"""Label and field selectors: from the text of a query parameter to a function that says whether an object is meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from varka.client.api import Object
from varka.cluster.apiserver import errors

Match = Callable[[Object], bool]
_Term = Callable[[dict[str, str]], bool]

_SET = re.compile(r"^\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([^\s!=,()<>]+)\s*(==|=|!=)\s*([^\s!=,()]*)\s*$")
_COMPARE = re.compile(r"^\s*([^\s!=,()<>]+)\s*(>|<)\s*(-?\d+)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s!=,()<>]+)\s*$")
_NAME = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)$")


def _split(text: str) -> list[str]:
    """The terms: parts between commas that are not inside parentheses."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return parts


def _check_key(key: str, text: str) -> None:
    name = key.rpartition("/")[2]
    if not _NAME.match(name) or len(name) > 63:
        raise errors.bad_request(
            f"unable to parse requirement: <nil>: Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.'"
        )


def _set_term(key: str, values: frozenset[str], negated: bool) -> _Term:
    if negated:
        return lambda labels: labels.get(key) not in values
    return lambda labels: labels.get(key) in values


def _compare_term(key: str, limit: int, greater: bool) -> _Term:
    def matches(labels: dict[str, str]) -> bool:
        try:
            value = int(labels[key])
        except (KeyError, ValueError):
            return False
        return value > limit if greater else value < limit

    return matches


def _term(part: str, text: str) -> _Term:
    if found := _SET.match(part):
        values = frozenset(value.strip() for value in found[3].split(","))
        _check_key(found[1], text)
        return _set_term(found[1], values, found[2] == "notin")
    if found := _EQUAL.match(part):
        _check_key(found[1], text)
        return _set_term(found[1], frozenset([found[3]]), found[2] == "!=")
    if found := _COMPARE.match(part):
        _check_key(found[1], text)
        return _compare_term(found[1], int(found[3]), found[2] == ">")
    if found := _EXISTS.match(part):
        key, negated = found[2], bool(found[1])
        _check_key(key, text)
        return (lambda labels: key not in labels) if negated else (lambda labels: key in labels)
    raise errors.bad_request(f"unable to parse requirement: found '{part.strip()}', expected: in, notin, =, ==, !=, gt, lt")


@lru_cache(maxsize=512)
def labels(text: str) -> Match | None:
    """The selector as a function of an object; None when it selects everything. ApiError 400 when it is malformed."""
    if not text.strip():
        return None
    terms = [_term(part, text) for part in _split(text)]

    def matches(obj: Object) -> bool:
        own = obj["metadata"].get("labels") or {}
        return all(term(own) for term in terms)

    return matches


def from_label_selector(selector: Object) -> Callable[[dict[str, str]], bool]:
    """A LabelSelector object (`matchLabels`, `matchExpressions`) as a function of labels; an empty one selects everything."""
    terms: list[_Term] = [_set_term(key, frozenset([value]), False) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        key, operator = expression["key"], expression["operator"]
        if operator in ("In", "NotIn"):
            terms.append(_set_term(key, frozenset(expression.get("values") or ()), operator == "NotIn"))
        elif operator == "Exists":
            terms.append(lambda labels, key=key: key in labels)  # type: ignore[misc]
        else:
            terms.append(lambda labels, key=key: key not in labels)  # type: ignore[misc]
    return lambda labels: all(term(labels) for term in terms)


_BUILTIN_FIELDS: dict[str, frozenset[str]] = {
    "pods": frozenset(
        [
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]
    ),
    "events": frozenset(
        [
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
            "regarding.kind",
            "regarding.name",
            "regarding.namespace",
            "regarding.uid",
        ]
    ),
    "nodes": frozenset(["spec.unschedulable"]),
    "namespaces": frozenset(["status.phase"]),
    "secrets": frozenset(["type"]),
    "services": frozenset(["spec.clusterIP", "spec.type"]),
    "replicationcontrollers": frozenset(["status.replicas"]),
    "replicasets.apps": frozenset(["status.replicas"]),
    "jobs.batch": frozenset(["status.successful"]),
    "certificatesigningrequests.certificates.k8s.io": frozenset(["spec.signerName"]),
}


def _value(obj: Object, path: tuple[str, ...]) -> str:
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            return "false" if path in (("spec", "unschedulable"), ("spec", "hostNetwork")) else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return str(value.get("component", ""))
    return str(value)


@lru_cache(maxsize=512)
def fields(key: str, text: str, selectable: tuple[str, ...] = ()) -> Match | None:
    """The field selector of a resource (`pods`, `replicasets.apps`) as a function; ApiError 400 for a field that is not selectable."""
    if not text.strip():
        return None
    known = _BUILTIN_FIELDS.get(key, frozenset())
    terms: list[tuple[tuple[str, ...], str, bool]] = []
    for part in text.split(","):
        found = re.match(r"^\s*([^=!]+?)\s*(==|!=|=)\s*(.*?)\s*$", part)
        if not found:
            raise errors.bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        name = found[1]
        if name not in ("metadata.name", "metadata.namespace") and name not in known and name not in selectable:
            raise errors.bad_request(f"field label not supported: {name}")
        name = name.replace("regarding.", "involvedObject.").replace("reportingController", "reportingComponent")
        terms.append((tuple(name.split(".")), found[3], found[2] == "!="))

    def matches(obj: Object) -> bool:
        return all((_value(obj, path) == value) != negated for path, value, negated in terms)

    return matches
