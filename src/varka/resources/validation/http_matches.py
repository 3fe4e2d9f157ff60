"""The conditions of an HTTP rule: tests of texts, names of headers, ports, and who asks."""

from __future__ import annotations

from varka.base import regexes
from varka.resources.traffic import virtual_services as written
from varka.resources.validation import headers, names
from varka.resources.validation.findings import Findings

_LONGEST_REGEX = 1024


def check(match: written.HttpMatchRequest, path: str, delegate: bool, found: Findings) -> None:
    """Check one match."""
    for name in ("uri", "scheme", "method", "authority"):
        given = getattr(match, name)
        if given is not None:
            _check_string(given, f"{path}.{name}", found, empty_prefix=name == "uri")
    for key, item in match.headers.items():
        headers.check_matched(key, f"{path}.headers[{key}]", found)
        _check_string(item, f"{path}.headers[{key}]", found)
    for key, item in match.without_headers.items():
        headers.check_matched(key, f"{path}.withoutHeaders[{key}]", found)
        if item.regex != "*":  # any value: the header must be absent
            _check_string(item, f"{path}.withoutHeaders[{key}]", found)
    for key, item in match.query_params.items():
        _check_string(item, f"{path}.queryParams[{key}]", found)
    if match.port:
        names.check_port(match.port, f"{path}.port", found)
    if match.gateways and delegate:
        found.error(f"{path}.gateways", "a delegate cannot have gateways; those of its parent count")
    names.check_gateways(match.gateways, f"{path}.gateways", found)
    names.check_labels(match.source_labels, f"{path}.sourceLabels", found)
    if match.source_namespace and not names.is_label(match.source_namespace):
        found.error(f"{path}.sourceNamespace", f"{match.source_namespace!r} is not a name of a namespace")


def _check_string(given: written.StringMatch, path: str, found: Findings, empty_prefix: bool = False) -> None:
    if given.prefix == "" and not empty_prefix:
        found.error(f"{path}.prefix", "prefix must not be empty; without a prefix the match asks for presence only")
    if given.regex is not None:
        check_regex(given.regex, f"{path}.regex", found)


def check_regex(pattern: str, path: str, found: Findings) -> None:
    """Check that Envoy can compile a pattern."""
    if not pattern:
        found.error(path, "a regular expression must not be empty")
        return
    if len(pattern.encode(errors="replace")) > _LONGEST_REGEX:
        found.error(path, f"a regular expression has at most {_LONGEST_REGEX} bytes")
    problem = regexes.problem(pattern)
    if problem:
        found.error(path, f"{pattern[:200]!r} is not a regular expression of RE2, which Envoy uses: {problem}")
