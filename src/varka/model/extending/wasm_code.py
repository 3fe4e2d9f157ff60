"""Modules that the control plane fetches: where from, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class CodeSource(Struct, frozen=True, kw_only=True, order=True):
    """One document. `version` differs where it has to be fetched again though nothing else does (`imagePullPolicy: Always`)."""

    url: str
    sha256: str = ""
    version: str = ""


class KnownCode(Struct, frozen=True, kw_only=True, eq=False):
    """What has been fetched, and why other things have not."""

    code: Mapping[CodeSource, bytes] = field(default_factory=dict)
    problems: Mapping[CodeSource, str] = field(default_factory=dict)


NOTHING = KnownCode()
