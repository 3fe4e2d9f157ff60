"""CEL expressions over a request's attributes, as the Telemetry API and extensions take them: which are well-formed.

An expression that Envoy cannot read would make it refuse the whole listener, so nothing is sent that does not compile
here. Values are not known before a request comes; everything else is checked: syntax, names and functions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

ATTRIBUTES = ("request", "response", "connection", "source", "destination", "upstream", "metadata", "filter_state", "upstream_filter_state", "xds", "wasm")
"""Names that Envoy gives to an expression."""
FUNCTIONS = frozenset(
    {
        *("has", "size", "in", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "duration", "timestamp", "type"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
"""What Envoy's own CEL has; it knows neither comprehensions nor conversions to text."""
_STRING = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'""")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")


@lru_cache(maxsize=1024)
def problem(expression: str) -> str:
    """What is wrong with an expression, in one line; empty when Envoy takes it."""
    try:
        _environment().compile(expression)
    except Exception as error:
        text = str(error).partition("ERROR: ")[2] or str(error)
        return text.partition("\n")[0].removeprefix("<input>:")
    for name in _CALL.findall(_STRING.sub("''", expression)):
        if name not in FUNCTIONS:
            return f"undeclared reference to '{name}': a proxy has no such function"
    return ""


def is_syntax(trouble: str) -> bool:
    """Whether a problem is one of syntax, rather than of a name that is not known."""
    return "undeclared reference" not in trouble and "no matching overload" not in trouble


@lru_cache(maxsize=1)
def _environment() -> Any:
    from cel_expr_python import cel

    return cel.NewEnv(variables=dict.fromkeys(ATTRIBUTES, cel.Type.DYN))
