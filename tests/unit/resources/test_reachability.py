from __future__ import annotations

from typing import Any

import pytest
from tests.builders.meshobjects import istio

from varka import resources
from varka.resources.validation import reachability


def _unreached(*rules: dict[str, Any], kind: str = "http") -> list[str]:
    spec = {"hosts": ["a.b"], kind: [{"route": [{"destination": {"host": "c"}}], **rule} for rule in rules]}
    parsed = resources.parse(istio("VirtualService", "v", spec))
    assert parsed.spec is not None
    return [item.text.removeprefix("virtualService rule ") for item in reachability.unreached(parsed.spec)]


def _uri(kind: str, path: str, **others: Any) -> dict[str, Any]:
    return {"uri": {kind: path}, **others}


def test_after_a_rule_without_matches() -> None:
    """Behind a rule without matches nothing is reached, whether or not it has matches itself."""
    assert _unreached({}, {"match": [_uri("prefix", "/a")]}, {}) == [
        "#1 not used (route without matches defined before)",
        "#2 not used (only the last rule can have no matches)",
    ]


@pytest.mark.parametrize("kind", ["http", "tcp", "tls"])
def test_the_same_match_again(kind: str) -> None:
    """A match that an earlier rule has too is not used; a rule of which that is true for every match is not used at all."""
    match = {"sniHosts": ["a.b"]} if kind == "tls" else {"port": 80}
    assert _unreached({"match": [match]}, {"match": [match]}, kind=kind) == [
        "#1 match #0 is not used (duplicate/overlapping match in rule #0)",
        "#1 not used (all matches used by prior rules)",
    ]


def test_longer_prefix_behind_a_shorter_one() -> None:
    """A longer prefix behind a shorter one is not used; names stand in quotes where there are any."""
    assert _unreached({"name": "first", "match": [_uri("prefix", "/a")]}, {"match": [_uri("prefix", "/ab", name="second")]}) == [
        '#1 match "second" of prefix /ab is not used (duplicate/overlapping match in rule #0 of prefix /a on "first")'
    ]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (_uri("prefix", "/a", headers={"x": {"exact": "1"}}), _uri("prefix", "/ab")),
        (_uri("prefix", "/a", method={"exact": "GET"}), _uri("prefix", "/ab", method={"exact": "POST"})),
        (_uri("prefix", "/ab"), _uri("prefix", "/a")),
        (_uri("prefix", "/a"), _uri("prefix", "/AB", ignoreUriCase=True)),
    ],
)
def test_a_prefix_that_leaves_requests(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    """A shorter prefix with more conditions, or one that stands behind the longer, leaves it requests."""
    assert _unreached({"match": [earlier]}, {"match": [later]}) == []


def test_names_of_matches_decide_on_nothing() -> None:
    """The same match under a name is the same match."""
    assert _unreached({"match": [_uri("prefix", "/a", name="x")]}, {"match": [_uri("prefix", "/a"), _uri("prefix", "/b", name="y")]}) == [
        "#1 match #0 is not used (duplicate/overlapping match in rule #0)"
    ]
