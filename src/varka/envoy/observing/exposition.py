"""Envoy's metrics as Istio's: what Prometheus scrapes from a sidecar has the names and labels that dashboards ask for.

Envoy puts `envoy_` before every name, has most labels in one (see `labels`) and leaves a label empty when it has no value, where
Istio's names begin with `istio_` and say `unknown`. The lab guide calls `connection_security_policy` by an older name, so
both are there. Calls of gRPC are counted by how many messages they had (see `stats`); here they become counters of messages.
"""

from __future__ import annotations

import re
from functools import lru_cache

from varka.envoy.observing import peer_facts

PACKED = "labels"
"""The label whose value has the others: `name=value|name=value|…|peer=…`."""
PEER = "peer"
"""The last of them: what the caller said of itself, where values such as `@workload` are found."""
FROM_PEER = "@"
EMPTY_IS_A_VALUE = ("grpc_response_status", "response_flags")
_LINE = re.compile(r"^(# (?:TYPE|HELP) )?envoy_(istio_\w+)", re.MULTILINE)
_PACKED = re.compile(rf'([{{,]){PACKED}="((?:[^"\\]|\\.)*)"')
_PEER = f"{peer_facts.BETWEEN}{PEER}="
_EMPTY = re.compile(r'(\w+)="(?:-)?"')
_POLICY = re.compile(r'connection_security_policy="([^"]*)"')
_MESSAGES = re.compile(r'^(istio_(request|response)_messages_total\{.*?),?messages="(?:(\d+),(\d+)|[^"]*)"(.*\}) (\d+)$')


def istio(text: str) -> str:
    """The whole exposition, with Istio's own metrics renamed and completed; everything else as it was."""
    if "envoy_istio_" not in text:
        return text
    lines: list[str] = []
    messages: dict[str, int] = {}
    places: dict[str, int] = {}
    for line in text.removesuffix("\n").split("\n"):
        if "envoy_istio_" not in line:
            lines.append(line)
        elif "_messages_total" in line:
            _count(_renamed(line), messages)
        else:
            _add(_renamed(line), lines, places)
    return "\n".join([*lines, ""]) + _exposed(messages)


def _add(line: str, lines: list[str], places: dict[str, int]) -> None:
    """Series that differed in what Telemetry takes away are one."""
    series, _, value = line.rpartition(" ")
    if line.startswith("#") or series not in places:
        places[series] = len(lines)
        lines.append(line)
        return
    before = lines[places[series]].rpartition(" ")[2]
    total = int(before) + int(value) if before.isdigit() and value.isdigit() else float(before) + float(value)
    lines[places[series]] = f"{series} {total}"


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
    line = _PACKED.sub(lambda found: found[1] + _unpacked(found[2]), line)
    line = _EMPTY.sub(_named, line)
    return _POLICY.sub(r'connection_security_policy="\1",security_policy="\1"', line)


@lru_cache(maxsize=8192)
def _unpacked(text: str) -> str:
    """The labels that Envoy has as one. What the caller said of itself comes last: whatever it is, the other labels stay."""
    own, _, said = text.partition(_PEER)
    peer = peer_facts.said("" if said == "-" else said)
    found = []
    for part in own.split(peer_facts.BETWEEN):
        label, _, value = part.partition("=")
        if value.startswith(FROM_PEER):
            value = peer.get(value.removeprefix(FROM_PEER), "")
        found.append(f'{label}="{value}"')
    return ",".join(found)


def _named(found: re.Match[str]) -> str:
    return found.group(0) if found.group(1) in EMPTY_IS_A_VALUE else f'{found.group(1)}="unknown"'


def _count(line: str, messages: dict[str, int]) -> None:
    found = _MESSAGES.match(line)
    if found is None:
        return
    head, direction, requests, responses, tail, calls = found.groups()
    each = int((requests if direction == "request" else responses) or 0)
    messages[head + tail] = messages.get(head + tail, 0) + each * int(calls)
