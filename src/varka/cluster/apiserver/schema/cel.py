"""The rules of `x-kubernetes-validations`: CEL expressions over `self` and, on updates, `oldSelf`.

The expressions are compiled and run by Google's CEL runtime (`docs/decisions`), which is loaded when the first CRD with a
rule is used. Kubernetes' own functions for URLs, IP addresses, quantities and lists are added here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from varka.cluster.apiserver import errors, quantity
from varka.cluster.apiserver.errors import Cause
from varka.cluster.apiserver.schema.nodes import Node

_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_SHOWN = {"object": "object", "map": "object", "list": "array"}


def check(root: Node, obj: Any, old: Any) -> list[Cause]:
    """A cause for every rule that an object breaks; rules over `oldSelf` run only when there is an old object."""
    causes: list[Cause] = []
    if root.rules:
        _walk(root, obj, old, "", causes)
    return causes


def _walk(node: Node, value: Any, old: Any, path: str, causes: list[Cause]) -> None:
    for rule in node.raw.get("x-kubernetes-validations", ()):
        cause = _run(rule, node, value, old, path)
        if cause is not None:
            causes.append(cause)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for key, item in value.items():
            inner = node.properties.get(key) or node.values
            if inner is not None and inner.rules and item is not None:
                _walk(inner, item, before.get(key), f"{path}.{key}" if path else key, causes)
    elif isinstance(value, list) and node.items is not None and node.items.rules:
        for position, item in enumerate(value):
            _walk(node.items, item, _partner(node, item, old), f"{path}[{position}]", causes)


def _partner(node: Node, item: Any, old: Any) -> Any:
    """The old item with the same keys, in a list of type map."""
    if not node.merges_by_key or not isinstance(old, list):
        return None
    keys = [item.get(key) for key in node.list_keys]
    return next((candidate for candidate in old if [candidate.get(key) for key in node.list_keys] == keys), None)


def _run(rule: dict[str, Any], node: Node, value: Any, old: Any, path: str) -> Cause | None:
    expression = rule["rule"]
    if "oldSelf" in expression and old is None:
        return None
    where = path + rule.get("fieldPath", "") or "<nil>"
    shown = _SHOWN.get(node.type, value)
    try:
        passed = _evaluate(expression, node, value, old)
    except ValueError as error:
        return errors.invalid(where, shown, f"rule evaluation error: {error}")
    if passed is True:
        return None
    message = rule.get("message") or f"failed rule: {expression.strip()}"
    if rule.get("messageExpression"):
        with contextlib.suppress(ValueError):
            message = str(_evaluate(rule["messageExpression"], node, value, old))
    reason = rule.get("reason", "FieldValueInvalid")
    if reason == "FieldValueForbidden":
        return errors.forbidden_value(where, message)
    return errors.required(where, message) if reason == "FieldValueRequired" else errors.invalid(where, shown, message)


def _evaluate(expression: str, node: Node, value: Any, old: Any) -> Any:
    result = _program(expression).eval(data={"self": _given(node, value), "oldSelf": _given(node, old)})
    if result.type().name() == "ERROR":
        raise ValueError(str(result.plain_value()))
    return result.plain_value()


def _given(node: Node, value: Any) -> Any:
    """The value as CEL sees it: names that are CEL's own words are escaped, numbers of type `number` are doubles."""
    if isinstance(value, dict):
        if node.type == "object":
            return {escape(key): _given(node.child(key), item) for key, item in value.items()}
        return {key: _given(node.child(key), item) for key, item in value.items()}
    if isinstance(value, list):
        return [_given(node.element(), item) for item in value]
    return float(value) if node.type == "number" and isinstance(value, int) else value


def holds(expression: str, variables: dict[str, Any]) -> bool:
    """Whether a condition over `object`, `oldObject` and `request` is true; ValueError when it cannot be said."""
    result = _program(expression).eval(data=variables)
    value = result.plain_value()
    if result.type().name() == "ERROR":
        raise ValueError(str(value))
    if not isinstance(value, bool):
        raise ValueError("the expression does not give a boolean")
    return value


def escape(name: str) -> str:
    """A property's name inside an expression."""
    if name in _RESERVED:
        return f"__{name}__"
    return name.replace("__", "__underscores__").replace(".", "__dot__").replace("-", "__dash__").replace("/", "__slash__")


def compile_error(expression: str) -> str:
    """What is wrong with an expression, empty when it compiles."""
    try:
        _program(expression)
    except ValueError as error:
        return str(error)
    return ""


@lru_cache(maxsize=4096)
def _program(expression: str) -> Any:
    try:
        return _environment().compile(expression)
    except Exception as error:
        raise ValueError(f"compilation failed: {error}") from error


@lru_cache(maxsize=1)
def _environment() -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

    kinds = cel.Type
    boxed = kinds.Map(kinds.STRING, kinds.DYN)
    text, yes, whole, dyn, texts = kinds.STRING, kinds.BOOL, kinds.INT, kinds.DYN, kinds.List(kinds.DYN)

    def declare(name: str, *overloads: tuple[list[Any], Any, Any, bool]) -> Any:
        made = [
            cel.Overload(f"varka_{name}_{position}", result, parameters, member, run) for position, (parameters, result, run, member) in enumerate(overloads)
        ]
        return cel.FunctionDecl(name, made)

    functions = [
        declare("isURL", ([text], yes, _is_url, False)),
        declare("url", ([text], boxed, lambda value: {"url": value}, False)),
        declare("getScheme", ([boxed], text, lambda box: urlsplit(_unbox(box, "url")).scheme, True)),
        declare("getHost", ([boxed], text, lambda box: urlsplit(_unbox(box, "url")).netloc, True)),
        declare("getHostname", ([boxed], text, lambda box: urlsplit(_unbox(box, "url")).hostname or "", True)),
        declare("getPort", ([boxed], text, lambda box: str(urlsplit(_unbox(box, "url")).port or ""), True)),
        declare("getEscapedPath", ([boxed], text, lambda box: urlsplit(_unbox(box, "url")).path, True)),
        declare("getQuery", ([boxed], boxed, lambda box: parse_qs(urlsplit(_unbox(box, "url")).query), True)),
        declare("isIP", ([text], yes, _is_ip, False)),
        declare("isCIDR", ([text], yes, _is_cidr, False)),
        declare("ip", ([text], boxed, lambda value: {"ip": value}, False)),
        declare("cidr", ([text], boxed, lambda value: {"cidr": value}, False)),
        declare("family", ([boxed], whole, lambda box: ipaddress.ip_address(_unbox(box, "ip")).version, True)),
        declare("isQuantity", ([text], yes, quantity.is_quantity, False)),
        declare("quantity", ([text], boxed, lambda value: {"quantity": value}, False)),
        declare("isGreaterThan", ([boxed, boxed], yes, lambda one, two: _amount(one) > _amount(two), True)),
        declare("isLessThan", ([boxed, boxed], yes, lambda one, two: _amount(one) < _amount(two), True)),
        declare("compareTo", ([boxed, boxed], whole, lambda one, two: (_amount(one) > _amount(two)) - (_amount(one) < _amount(two)), True)),
        declare("find", ([text, text], text, _find, True)),
        declare("findAll", ([text, text], texts, lambda value, pattern: [found.group() for found in re.finditer(pattern, value)], True)),
        declare("isSorted", ([texts], yes, lambda items: _plain(items) == sorted(_plain(items)), True)),
        declare("sum", ([texts], dyn, lambda items: sum(_plain(items)), True)),
        declare("min", ([texts], dyn, lambda items: min(_plain(items)), True)),
        declare("max", ([texts], dyn, lambda items: max(_plain(items)), True)),
    ]
    extensions = [ext_strings.ExtStrings(), ext_optional.ExtOptional(), ext_bindings.ExtBindings(), ext_math.ExtMath()]
    variables = dict.fromkeys(("self", "oldSelf", "object", "oldObject", "request"), dyn)
    return cel.NewEnv(variables=variables, functions=functions, extensions=extensions)


def _plain(items: Any) -> list[Any]:
    return [item.plain_value() if hasattr(item, "plain_value") else item for item in items]


def _unbox(box: Any, kind: str) -> str:
    value = box[kind]
    return str(value.plain_value() if hasattr(value, "plain_value") else value)


def _amount(box: Any) -> float:
    return float(quantity.parse(_unbox(box, "quantity")))


def _find(value: str, pattern: str) -> str:
    found = re.search(pattern, value)
    return found.group() if found else ""


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ESCAPED = r"(?:%[0-9A-Fa-f]{2})"
_USER = re.compile(rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_ESCAPED})*")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%25[^\]]*)?\]|(?:[A-Za-z0-9._~!$&'()*+,;=<>\"-]|[^\x00-\x7f])*)(?::[0-9]*)?")
_PATH = re.compile(rf"(?:[^%\x00-\x1f\x7f]|{_ESCAPED})*")


def _is_url(value: str) -> bool:
    """Whether Go's `url.ParseRequestURI` takes it, as Kubernetes asks: absolute, or a path from the root; `#` ends nothing."""
    scheme = _SCHEME.match(value)
    rest = value[scheme.end() :].partition("?")[0] if scheme else value.partition("?")[0]
    if not rest.startswith("/"):
        return scheme is not None and _PATH.fullmatch(rest) is not None
    if scheme and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        user, _, host = authority.rpartition("@")
        return bool(_USER.fullmatch(user) and _HOST.fullmatch(host) and _PATH.fullmatch(slash + path))
    return _PATH.fullmatch(rest) is not None


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_cidr(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return "/" in value
