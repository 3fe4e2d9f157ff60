"""Which route of a virtual host a request meets: the first of which every condition holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from varka.analysis.simulation import matchers
from varka.analysis.simulation.call import Call, Protocol, Security
from varka.analysis.simulation.result import Stage, Step
from varka.base import regexes

CLAIMS = "envoy.filters.http.jwt_authn"
"""The filter that leaves the claims of a verified token in the metadata, under the key `payload`."""


class Request(Struct, frozen=True, kw_only=True):
    """A request as routes look at it. `decrypted` says whether the proxy took it out of TLS."""

    call: Call
    headers: Mapping[str, str]
    query: Mapping[str, str]
    metadata: Mapping[str, Any]
    path: str
    """Without query."""


def request(call: Call, decrypted: bool) -> Request:
    """What the routes see of a call."""
    path = call.path.partition("#")[0].partition("?")[0]
    headers = {name.lower(): value for name, value in call.headers.items()}
    headers.pop("host", None)
    pseudo = {":method": call.method, ":authority": call.host, ":path": call.path, ":scheme": "https" if decrypted else "http"}
    if call.protocol is Protocol.HTTP2:
        headers.setdefault("content-type", "")
    metadata = {CLAIMS: {"payload": call.claims}} if call.claims else {}
    return Request(call=call, headers={**headers, **pseudo}, query=matchers.query(call.path), metadata=metadata, path=path)


def choose(virtual_host: Any, asked: Request) -> tuple[Any, Step]:
    """The route and why; None when none is for the request."""
    passed: list[str] = []
    for number, route in enumerate(virtual_host.routes):
        reason = refusal(route.match, asked)
        if reason is None:
            name = route.name or f"#{number}"
            text = f"matches {describe(route.match)}"
            return route, Step(stage=Stage.ROUTE, chosen=name, reason=text + (f"; before it: {_shortened(passed)}" if passed else ""))
        passed.append(f"{route.name or f'#{number}'}: {reason}")
    reason = _shortened(passed) or "the virtual host has no routes"
    return None, Step(stage=Stage.ROUTE, chosen="", reason=f"no route is for the request; the proxy answers 404 ({reason})")


def _shortened(passed: list[str], most: int = 5) -> str:
    text = "; ".join(passed[:most])
    return text if len(passed) <= most else f"{text}; and {len(passed) - most} more"


def refusal(match: Any, asked: Request) -> str | None:
    """The first condition of a RouteMatch that does not hold; None when all do."""
    if not path_matches(match, asked.path):
        return f"path is not {describe_path(match)}"
    for item in match.headers:
        if not matchers.header(item, asked.headers):
            return f"header {item.name} does not match"
    for item in match.query_parameters:
        if not matchers.parameter(item, asked.query):
            return f"query parameter {item.name} does not match"
    for item in match.dynamic_metadata:
        if not matchers.metadata(item, asked.metadata):
            return "the claims of the token do not match"
    if match.HasField("grpc") and not asked.headers.get("content-type", "").startswith("application/grpc"):
        return "not gRPC"
    if match.HasField("tls_context"):
        return _tls_refusal(match.tls_context, asked.call)
    if match.HasField("runtime_fraction") and not match.runtime_fraction.default_value.numerator:
        return "its share of requests is none"
    return None


def _tls_refusal(wanted: Any, call: Call) -> str | None:
    mutual = call.security is Security.MTLS
    for name in ("presented", "validated"):
        if wanted.HasField(name) and getattr(wanted, name).value != mutual:
            return f"the client's certificate is {'not ' if wanted.presented.value else ''}{name}"
    return None


def path_matches(match: Any, path: str) -> bool:
    """Whether the path condition of a RouteMatch holds."""
    kind = match.WhichOneof("path_specifier")
    if kind == "safe_regex":
        return regexes.full_match(match.safe_regex.regex, path)
    if kind in {"prefix", "path", "path_separated_prefix"}:
        wanted = str(getattr(match, kind))
        if match.HasField("case_sensitive") and not match.case_sensitive.value:
            wanted, path = wanted.lower(), path.lower()
        if kind == "path":
            return path == wanted
        if kind == "prefix":
            return path.startswith(wanted)
        return path == wanted or path.startswith(wanted + "/")
    return False


def describe_path(match: Any) -> str:
    """A path condition in words."""
    kind = match.WhichOneof("path_specifier")
    words = {"prefix": "prefix", "path": "exactly", "path_separated_prefix": "below", "safe_regex": "regex"}
    if kind not in words:
        return kind or "anything"
    value = match.safe_regex.regex if kind == "safe_regex" else getattr(match, kind)
    folded = " in any case" if match.HasField("case_sensitive") and not match.case_sensitive.value else ""
    return f"{words[kind]} {value}{folded}"


def describe(match: Any) -> str:
    """All conditions of a RouteMatch in words."""
    parts = [f"path {describe_path(match)}"]
    parts += [f"header {name}" for name in _names(match.headers)]
    parts += [f"query parameter {name}" for name in _names(match.query_parameters)]
    if match.dynamic_metadata:
        parts.append("claims of the token")
    if match.HasField("runtime_fraction"):
        parts.append("a share of requests")
    return ", ".join(parts)


def _names(items: Iterable[Any]) -> list[str]:
    return sorted({str(item.name) for item in items})
