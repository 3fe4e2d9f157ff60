"""A result as a person reads it: first what becomes of the call, then each decision with its reason."""

from __future__ import annotations

from varka.analysis.simulation.call import Call, Direction, Security
from varka.analysis.simulation.result import Failure, Result

_FAILURES = {
    Failure.NO_LISTENER: "refused: the proxy does not listen there",
    Failure.NO_FILTER_CHAIN: "closed: the listener takes no such connection",
    Failure.MULTIPLE_FILTER_CHAIN: "unclear: the proxy refuses a listener with the same condition twice",
    Failure.NO_VIRTUAL_HOST: "answered 404: the proxy knows no such host",
    Failure.NO_ROUTE: "answered 404: no rule of the host is for the request",
    Failure.TLS_REDIRECT: "answered 301: the client is sent to https",
    Failure.TLS_ERROR: "closed: TLS is asked for",
    Failure.MTLS_ERROR: "closed in the TLS handshake: client and server accept other certificates",
    Failure.PROTOCOL_ERROR: "closed or answered 400: HTTP is expected in the clear",
}


def describe(call: Call) -> str:
    """The call in one line."""
    words = [call.method, call.path] if call.is_http else []
    scheme = {Security.PLAINTEXT: "", Security.TLS: " over TLS", Security.MTLS: " over mutual TLS"}[call.security]
    place = f"{call.address or '*'}:{call.port}"
    host = f" host {call.host}" if call.host and call.is_http else ""
    side = {Direction.OUTBOUND: "out to", Direction.INBOUND: "in to", Direction.GATEWAY: "at"}[call.direction]
    return " ".join([*words, f"{call.protocol.value}{scheme} {side} {place}{host}"])


def verdict(result: Result) -> str:
    """What becomes of the call, in one line."""
    if result.failure is not None:
        return f"{_FAILURES[result.failure]} ({result.failure.value})"
    if result.answer is not None:
        return f"answered {result.answer.status}" + (f": go to {result.answer.location}" if result.answer.location else " by the proxy")
    if not result.targets:
        return "goes nowhere"
    parts = []
    for target in result.targets:
        share = f" ({target.share:g} %)" if len(result.targets) > 1 else ""
        parts.append(f"{target.cluster}{share}{'' if target.found else ', which the proxy does not have'}")
    return "goes to " + "; ".join(parts)


def render(call: Call, result: Result) -> str:
    """The whole explanation."""
    lines = [describe(call), f"  {verdict(result)}", ""]
    width = max((len(step.stage.value) for step in result.steps), default=0)
    for step in result.steps:
        chosen = step.chosen or "-"
        lines.append(f"{step.stage.value:<{width}}  {chosen}")
        lines.append(f"{'':<{width}}    {step.reason}")
    return "\n".join(lines) + "\n"
