"""Regular expressions as Envoy reads them: RE2, whose matching takes time linear in the text, whatever the pattern.

RE2 knows no look-around and no back-references, and Envoy refuses programs beyond a size. A pattern that Python takes
may therefore make a proxy refuse a whole configuration: patterns are judged here, by the same library that Envoy uses.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MAX_PROGRAM_SIZE = 32768
"""What the proxies' bootstrap allows (`re2.max_program_size.error_level`)."""


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> tuple[Any, str]:
    """The program, or why there is none."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        found = re2.compile(pattern, options)
    except re2.error as problem:
        reason = problem.args[0] if problem.args else "no expression"
        return None, reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    except UnicodeEncodeError:
        return None, "the pattern is no UTF-8 text"
    if found.programsize > MAX_PROGRAM_SIZE:
        return None, f"the program has {found.programsize} instructions, more than the {MAX_PROGRAM_SIZE} that a proxy allows"
    return found, ""


def problem(pattern: str) -> str:
    """Why Envoy would refuse the pattern; empty when it would not."""
    return _compiled(pattern)[1]


def full_match(pattern: str, text: str) -> bool:
    """Whether the pattern matches the whole text, as Envoy's `safe_regex` asks; a pattern that is refused matches nothing."""
    found = _compiled(pattern)[0]
    return found is not None and found.fullmatch(text) is not None


def substitute(pattern: str, replacement: str, text: str) -> str:
    """All matches replaced; `\\1` stands for the first group."""
    found = _compiled(pattern)[0]
    return text if found is None else str(found.sub(replacement, text))
