"""Envoy's metrics as Istio's: what Prometheus scrapes from a sidecar has the names and labels that dashboards ask for.

Envoy puts `envoy_` before every name and leaves a label empty when it has no value, where Istio's names begin with
`istio_` and say `unknown`. The lab guide calls `connection_security_policy` by an older name, so both are there. Calls of
gRPC are counted by how many messages they had (see `stats`); here they become counters of messages.
"""

from __future__ import annotations

import re

EMPTY_IS_A_VALUE = ("grpc_response_status", "response_flags")
_LINE = re.compile(r"^(# (?:TYPE|HELP) )?envoy_(istio_\w+)", re.MULTILINE)
_EMPTY = re.compile(r'(\w+)="(?:-)?"')
_POLICY = re.compile(r'connection_security_policy="([^"]*)"')
_MESSAGES = re.compile(r'^(istio_(request|response)_messages_total\{.*?),?messages="(?:(\d+),(\d+)|[^"]*)"(.*\}) (\d+)$')


def istio(text: str) -> str:
    """The whole exposition, with Istio's own metrics renamed and completed; everything else as it was."""
    if "envoy_istio_" not in text:
        return text
    lines: list[str] = []
    messages: dict[str, int] = {}
    for line in text.splitlines(keepends=True):
        if "envoy_istio_" not in line:
            lines.append(line)
        elif "_messages_total" in line:
            _count(_renamed(line.rstrip("\n")), messages)
        else:
            lines.append(_renamed(line))
    return "".join(lines) + _exposed(messages)


def _exposed(messages: dict[str, int]) -> str:
    lines: list[str] = []
    for series in sorted(messages):
        name = series.partition("{")[0]
        if not lines or not lines[-1].startswith(name):
            lines.append(f"# TYPE {name} counter\n")
        lines.append(f"{series} {messages[series]}\n")
    return "".join(lines)


def _renamed(line: str) -> str:
    line = _LINE.sub(r"\1\2", line)
    if line.startswith("#"):
        return line
    line = _EMPTY.sub(_named, line)
    return _POLICY.sub(r'connection_security_policy="\1",security_policy="\1"', line)


def _named(found: re.Match[str]) -> str:
    return found.group(0) if found.group(1) in EMPTY_IS_A_VALUE else f'{found.group(1)}="unknown"'


def _count(line: str, messages: dict[str, int]) -> None:
    found = _MESSAGES.match(line)
    if found is None:
        return
    head, direction, requests, responses, tail, calls = found.groups()
    each = int((requests if direction == "request" else responses) or 0)
    messages[head + tail] = messages.get(head + tail, 0) + each * int(calls)
