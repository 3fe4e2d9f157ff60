from __future__ import annotations

import time

import pytest

from varka.base import regexes


@pytest.mark.parametrize("pattern", [r"/v[0-9]+/.*", r"(?i)abc", r"\pL+", "", "(a+)+$"])
def test_takes_what_re2_takes(pattern: str) -> None:
    """Patterns within RE2's language have no problem."""
    assert regexes.problem(pattern) == ""


@pytest.mark.parametrize("pattern", [r"(?=x)", r"(a)\1", "[", "*", "a{1,2000}", "\ud800"])
def test_names_what_re2_refuses(pattern: str) -> None:
    """Look-ahead, back-references, broken and oversized patterns have a reason."""
    assert regexes.problem(pattern) != ""


def test_program_size_is_limited() -> None:
    """A pattern whose program is larger than what a proxy allows is refused by its size."""
    assert "instructions" in regexes.problem("\\pL{100}")


def test_matches_the_whole_text() -> None:
    """A part of the text is not enough, and a dot does not take a line end."""
    assert regexes.full_match("/a.*", "/abc")
    assert not regexes.full_match("/a", "/abc")
    assert not regexes.full_match("a.b", "a\nb")
    assert not regexes.full_match("(?=x)", "x")


def test_evil_patterns_take_linear_time() -> None:
    """A pattern that makes a backtracking matcher hang is done at once."""
    begun = time.process_time()
    assert not regexes.full_match("(a+)+b", "a" * 5000)
    assert time.process_time() - begun < 5


def test_substitutes_groups() -> None:
    """Groups of the match stand in the replacement."""
    assert regexes.substitute("/api/(v[0-9])/", r"/\1/", "/api/v2/x") == "/v2/x"
