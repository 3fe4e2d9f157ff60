"""Rules and matches of a VirtualService that no request can reach, because an earlier rule takes all that they would."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from varka.resources.traffic import virtual_services as written
from varka.resources.validation.findings import Findings

REASON = "Unreachable"
Route = written.HttpRoute | written.TlsRoute | written.TcpRoute
Match = written.HttpMatchRequest | written.TlsMatchAttributes | written.L4MatchAttributes


class Unreached(NamedTuple):
    """A rule that is not used, for a `reason`; or one of its matches, where `duplicate` names the rule that goes first.

    Rules and matches are named in quotes, or by number, as `#0`.
    """

    path: str
    rule: str
    reason: str = ""
    match: str = ""
    duplicate: str = ""

    @property
    def text(self) -> str:
        if self.duplicate:
            return f"virtualService rule {self.rule} match {self.match} is not used (duplicate/overlapping match in rule {self.duplicate})"
        return f"virtualService rule {self.rule} not used ({self.reason})"


def check(spec: written.VirtualService, found: Findings) -> None:
    """Warn of what is not reached."""
    for item in unreached(spec):
        found.warning(item.path, item.text, REASON)


def unreached(spec: written.VirtualService) -> Iterable[Unreached]:
    """Everything that is not reached, in the order of the rules."""
    yield from _rules("spec.http", spec.http, _everything_http)
    yield from _overlaps(spec.http)
    yield from _rules("spec.tcp", spec.tcp, lambda _: False)
    yield from _rules("spec.tls", spec.tls, lambda _: False)


def _rules(path: str, routes: Sequence[Route], everything: Callable[[Match], bool]) -> Iterable[Unreached]:
    seen: dict[bytes, str] = {}
    unmatched = False
    for index, route in enumerate(routes):
        where, rule = f"{path}[{index}]", _name(route, index)
        if unmatched:
            reason = "route without matches defined before" if route.match else "only the last rule can have no matches"
            yield Unreached(where, rule, reason=reason)
            continue
        matches: Sequence[Match] = route.match
        unmatched = not matches
        repeated = 0
        for number, match in enumerate(matches):
            key = msgspec.json.encode(_conditions(match), order="deterministic")
            if key in seen:
                repeated += 1
                yield Unreached(f"{where}.match[{number}]", rule, match=_name(match, number), duplicate=seen[key])
            else:
                seen[key] = rule
        if matches and repeated == len(matches):
            yield Unreached(where, rule, reason="all matches used by prior rules")
        unmatched = unmatched or any(everything(match) for match in matches)


def _conditions(match: Match) -> Match:
    """The same without its name, which decides on nothing."""
    return msgspec.structs.replace(match, name="") if isinstance(match, written.HttpMatchRequest) else match


def _everything_http(match: Match) -> bool:
    """A match without any condition; a name and a statistics prefix are none."""
    return isinstance(match, written.HttpMatchRequest) and msgspec.structs.replace(match, name="", stat_prefix="") == written.HttpMatchRequest()


def _overlaps(routes: Sequence[written.HttpRoute]) -> Iterable[Unreached]:
    """Prefixes that an earlier, shorter one covers under the same other conditions."""
    earlier: list[tuple[str, str, str, written.HttpMatchRequest]] = []
    for index, route in enumerate(routes):
        for number, match in enumerate(route.match):
            prefix = match.uri.prefix if match.uri is not None else None
            if not prefix:
                continue
            rule, name = _name(route, index), _name(match, number)
            for other_rule, other_name, other, theirs in earlier:
                if prefix != other and _covers(other, theirs, prefix, match):
                    duplicate = f"{other_name} of prefix {other} on {other_rule}"
                    yield Unreached(f"spec.http[{index}].match[{number}]", rule, match=f"{name} of prefix {prefix}", duplicate=duplicate)
            earlier.append((rule, name, prefix, match))


def _covers(prefix: str, one: written.HttpMatchRequest, longer: str, other: written.HttpMatchRequest) -> bool:
    """Whether all that `other` matches is matched by `one`, which stands before it."""
    if other.ignore_uri_case and not one.ignore_uri_case:
        return False
    fitting = longer.lower().startswith(prefix.lower()) if one.ignore_uri_case else longer.startswith(prefix)
    if not fitting or any(getattr(one, field) not in (None, getattr(other, field)) for field in ("method", "authority")):
        return False
    rest = {"name": "", "stat_prefix": "", "uri": None, "ignore_uri_case": False, "method": None, "authority": None}
    return msgspec.structs.replace(one, **rest) == msgspec.structs.replace(other, **rest)


def _name(item: object, index: int) -> str:
    name = getattr(item, "name", "")
    return f'"{name}"' if name else f"#{index}"
