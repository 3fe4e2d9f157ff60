"""Envoy's metrics as Istio's: what Prometheus scrapes from a sidecar has the names and labels that dashboards ask for.

Envoy puts `envoy_` before every name and leaves a label empty when it has no value, where Istio's names begin with
`istio_` and say `unknown`. The lab guide calls `connection_security_policy` by an older name, so both are there.
"""

from __future__ import annotations

import re

EMPTY_IS_A_VALUE = ("grpc_response_status", "response_flags")
_LINE = re.compile(r"^(# (?:TYPE|HELP) )?envoy_(istio_\w+)", re.MULTILINE)
_EMPTY = re.compile(r'(\w+)="(?:-)?"')
_POLICY = re.compile(r'connection_security_policy="([^"]*)"')


def istio(text: str) -> str:
    """The whole exposition, with Istio's own metrics renamed and completed; everything else as it was."""
    if "envoy_istio_" not in text:
        return text
    return "".join(_line(line) if "envoy_istio_" in line else line for line in text.splitlines(keepends=True))


def _line(line: str) -> str:
    line = _LINE.sub(r"\1\2", line)
    if line.startswith("#"):
        return line
    line = _EMPTY.sub(_named, line)
    return _POLICY.sub(r'connection_security_policy="\1",security_policy="\1"', line)


def _named(found: re.Match[str]) -> str:
    return found.group(0) if found.group(1) in EMPTY_IS_A_VALUE else f'{found.group(1)}="unknown"'
