"""`extensionProviders` of MeshConfig that authorize requests, by the names that policies with action CUSTOM use.

A provider with a mistake is kept with its first problem: a policy that names it must refuse requests, not let them by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varka.base import durations
from varka.model.security import Authorizer, CheckedBody
from varka.resources import Condition, conditions

KINDS = {"envoyExtAuthzHttp": False, "envoyExtAuthzGrpc": True}
"""Field of a provider → whether it is asked over gRPC."""

_COMMON = frozenset({"service", "port", "timeout", "failOpen", "statusOnError", "includeRequestBodyInCheck", "clearRouteCache"})
_HTTP_ONLY = frozenset(
    {
        "pathPrefix",
        "includeHeadersInCheck",
        "includeRequestHeadersInCheck",
        "includeAdditionalHeadersInCheck",
        "headersToUpstreamOnAllow",
        "headersToDownstreamOnAllow",
        "headersToDownstreamOnDeny",
    }
)


_STATUSES = frozenset({100, *range(200, 209), 226, *range(300, 306), 307, 308, *range(400, 418), *range(421, 425), 426, 428, 429, 431})
_STATUSES |= frozenset({*range(500, 509), 510, 511})
"""The codes that Envoy has a name for."""
_UNSENDABLE = frozenset("\0\r\n")


class _Mistake(ValueError):
    """A field and what is wrong with it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


def authorizers(given: object) -> tuple[tuple[Authorizer, ...], tuple[Condition, ...]]:
    """The authorizers among the providers, and what is wrong with them; other kinds of providers are passed over."""
    found: dict[str, Authorizer] = {}
    problems: list[Condition] = []
    for index, item in enumerate(given if isinstance(given, list) else []):
        kind = next((kind for kind in KINDS if isinstance(item, Mapping) and kind in item), None)
        if kind is None:
            continue
        name, where = str(item.get("name") or ""), f"mesh.extensionProviders[{index}]"
        if not name or name in found:
            problems.append(conditions.error(f"{where}.name", "must be given, and different from all others", "WrongValue"))
            continue
        fields = item[kind] if isinstance(item[kind], Mapping) else {}
        unknown = sorted(set(map(str, fields)) - _COMMON - (frozenset() if KINDS[kind] else _HTTP_ONLY))
        problems += [conditions.warning(f"{where}.{kind}.{key}", "unknown setting; it is left out", "UnknownField") for key in unknown]
        try:
            found[name] = _authorizer(name, KINDS[kind], fields)
        except _Mistake as mistake:
            text = f"{mistake}; requests that a policy sends to {name} are refused"
            problems.append(conditions.error(f"{where}.{kind}.{mistake.field}", text, "WrongValue"))
            found[name] = Authorizer(name=name, problem=f"{mistake.field} {mistake}")
    return tuple(found.values()), tuple(problems)


def _authorizer(name: str, grpc: bool, given: Mapping[str, Any]) -> Authorizer:
    service = str(given.get("service") or "")
    if not service or service.endswith("/"):
        raise _Mistake("service", "must name the host of a service, such as foo/ext-authz.foo.svc.cluster.local")
    port = given.get("port")
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise _Mistake("port", "must be a number from 1 to 65535")
    prefix = str(given.get("pathPrefix") or "")
    if prefix and (not prefix.startswith("/") or _UNSENDABLE & set(prefix)):
        raise _Mistake("pathPrefix", "must begin with / and have no line break")
    extra = given.get("includeAdditionalHeadersInCheck") or {}
    if not isinstance(extra, Mapping) or any(not key or _UNSENDABLE & set(f"{key}{value}") for key, value in extra.items()):
        raise _Mistake("includeAdditionalHeadersInCheck", "must be a map of header names to values, without line breaks")
    namespace, _, host = service.rpartition("/")
    return Authorizer(
        name=name,
        grpc=grpc,
        namespace=namespace,
        host=host.lower(),
        port=port,
        timeout=_timeout(given.get("timeout")),
        fail_open=bool(given.get("failOpen")),
        status_on_error=_status(given.get("statusOnError")),
        clear_route_cache=bool(given.get("clearRouteCache")),
        body=_body(given.get("includeRequestBodyInCheck")),
        path_prefix=prefix,
        headers_in_check=_texts(given, "includeRequestHeadersInCheck") or _texts(given, "includeHeadersInCheck"),
        additional_headers=tuple(sorted((str(key), str(value)) for key, value in extra.items())),
        upstream_on_allow=_texts(given, "headersToUpstreamOnAllow"),
        downstream_on_allow=_texts(given, "headersToDownstreamOnAllow"),
        downstream_on_deny=_texts(given, "headersToDownstreamOnDeny"),
    )


def _timeout(value: object) -> float | None:
    if value is None:
        return None
    try:
        found = durations.seconds(str(value))
    except ValueError as problem:
        raise _Mistake("timeout", str(problem)) from None
    if found <= 0:
        raise _Mistake("timeout", "must be more than nothing")
    return found


def _status(value: object) -> int:
    text = str(value or "")
    if not text:
        return 0
    if not text.isdecimal() or int(text) not in _STATUSES:
        raise _Mistake("statusOnError", "must be an HTTP status code that Envoy knows, such as 403")
    return int(text)


def _body(value: object) -> CheckedBody | None:
    if not isinstance(value, Mapping):
        return None
    size = value.get("maxRequestBytes")
    if not isinstance(size, int) or not 0 < size < 2**32:
        raise _Mistake("includeRequestBodyInCheck", "needs maxRequestBytes, a number greater than 0 and less than 4 GiB")
    return CheckedBody(max_bytes=size, allow_partial=bool(value.get("allowPartialMessage")), as_bytes=bool(value.get("packAsBytes")))


def _texts(given: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = given.get(field) or []
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise _Mistake(field, "must be a list of header names")
    return tuple(value)
