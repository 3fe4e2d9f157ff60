from __future__ import annotations

import pytest

from varka.model.discovery import hosts


@pytest.mark.parametrize(
    ("given", "full"),
    [("Reviews", "reviews.ns.svc.cluster.local"), ("reviews.other", "reviews.other"), ("*", "*"), ("*.Example.com", "*.example.com")],
)
def test_qualified(given: str, full: str) -> None:
    """Only a name without dots is completed; case does not matter."""
    assert hosts.qualified(given, "ns", "cluster.local") == full


@pytest.mark.parametrize(
    ("given", "full"),
    [("mesh", "mesh"), ("gw", "ns/gw"), ("./gw", "ns/gw"), ("other/gw", "other/gw"), ("gw.other.svc.cluster.local", "other/gw"), ("gw.other", "other/gw")],
)
def test_gateway(given: str, full: str) -> None:
    """Every way of writing a gateway's name leads to namespace/name."""
    assert hosts.gateway(given, "ns") == full


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("*", "a.b", True),
        ("*.b", "a.b", True),
        ("*.b", "b", False),
        ("*.b", "*.a.b", True),
        ("*.a.b", "*.b", False),
        ("a.b", "*.b", False),
        ("*.b", "*", False),
    ],
)
def test_covers(pattern: str, host: str, expected: bool) -> None:
    """A wildcard includes names and narrower wildcards, never itself without a label."""
    assert hosts.covers(pattern, host) is expected


def test_specificity() -> None:
    """Full names come before wildcards, long wildcards before short ones."""
    assert sorted(["*", "*.b", "*.a.b", "c"], key=hosts.specificity) == ["c", "*.a.b", "*.b", "*"]
