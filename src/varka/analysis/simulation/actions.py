"""What a route does with a request: where it goes and in what shares, what is changed in it, or what is answered."""

from __future__ import annotations

from typing import Any

from varka.analysis.simulation import call as calls
from varka.analysis.simulation.result import Answer, Rewritten, Target
from varka.analysis.simulation.routes import Request
from varka.base import regexes

_CODES = {0: 301, 1: 302, 2: 303, 3: 307, 4: 308}
_DENOMINATORS = {0: 100, 1: 10_000, 2: 1_000_000}


def targets(action: Any, clusters: frozenset[str]) -> tuple[Target, ...]:
    """The clusters of a RouteAction or a TcpProxy."""
    if action.WhichOneof("cluster_specifier") == "cluster":
        return (Target(cluster=action.cluster, found=action.cluster in clusters),)
    if action.WhichOneof("cluster_specifier") == "weighted_clusters":
        parts = [(part.name, _weight(part)) for part in action.weighted_clusters.clusters]
        total = sum(weight for _, weight in parts) or 1
        return tuple(Target(cluster=name, share=round(100 * weight / total, 4), found=name in clusters) for name, weight in parts)
    return ()


def _weight(part: Any) -> int:
    weight = part.weight
    return int(weight if isinstance(weight, int) else weight.value)


def mirrors(action: Any, clusters: frozenset[str]) -> tuple[Target, ...]:
    """The clusters that get a copy, and of how many requests."""
    return tuple(Target(cluster=item.cluster, share=_percent(item.runtime_fraction), found=item.cluster in clusters) for item in action.request_mirror_policies)


def _percent(fraction: Any) -> float:
    value = fraction.default_value
    return float(100 * value.numerator / _DENOMINATORS[value.denominator])


def rewritten(match: Any, action: Any, asked: Request) -> Rewritten:
    """New path and host of the forwarded request."""
    path = _path(match, action.prefix_rewrite, action.regex_rewrite if action.HasField("regex_rewrite") else None, asked)
    return Rewritten(path="" if path == asked.call.path else path, host=action.host_rewrite_literal)


def redirect(match: Any, action: Any, asked: Request) -> Answer:
    """The answer that sends the client elsewhere."""
    scheme = action.scheme_redirect or ("https" if action.https_redirect else asked.headers[":scheme"])
    host = action.host_redirect or asked.call.host
    bare = calls.host_without_port(host)
    port = action.port_redirect
    if port:
        host = f"{bare}:{port}"
    elif not action.host_redirect and scheme != asked.headers[":scheme"] and host.endswith((":80", ":443")):
        host = bare
    query = asked.call.path.partition("?")[2]
    if action.path_redirect:
        path = action.path_redirect
        if query and "?" not in path and not action.strip_query:
            path = f"{path}?{query}"
    else:
        path = _path(match, action.prefix_rewrite, action.regex_rewrite if action.HasField("regex_rewrite") else None, asked)
        if action.strip_query:
            path = path.partition("?")[0]
    return Answer(status=_CODES[action.response_code], location=f"{scheme}://{host}{path}")


def _path(match: Any, prefix: str, regex: Any, asked: Request) -> str:
    whole = asked.call.path
    rest = whole[len(asked.path) :]
    if prefix:
        kind = match.WhichOneof("path_specifier")
        matched = asked.path if kind in {"path", "safe_regex"} else getattr(match, kind) if kind in {"prefix", "path_separated_prefix"} else ""
        return prefix + asked.path[len(matched) :] + rest
    if regex is not None:
        return regexes.substitute(regex.pattern.regex, regex.substitution, asked.path) + rest
    return whole
