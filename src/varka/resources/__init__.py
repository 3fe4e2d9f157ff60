"""What the user wrote: one typed class a kind; parse, validate, describe as a schema. No I/O.

A resource comes in as the plain object that the API server answered, and becomes a `Parsed`: its metadata, its typed
spec, and the conditions that reading it left behind. A mistake of the user is never an exception here.
`parsing.parse(obj)`, `validation.validate(parsed)`, `acting.not_acted_on(parsed)` and `crds.definitions()` are the four
questions that other packages ask; `kinds.KINDS` is the table behind them.
"""

from __future__ import annotations

from varka.resources.conditions import Condition, Severity
from varka.resources.parsing import Meta, Parsed, parse

__all__ = ["Condition", "Meta", "Parsed", "Severity", "parse"]
