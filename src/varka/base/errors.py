"""Failures that a person will read: what happened, and what to do next."""

from __future__ import annotations


class VarkaError(Exception):
    """A failure of the outside world or of a user's input at the edge of the program.

    `message` says what happened, lower case, without a full stop; `hint` says what to do next and may be empty.
    Bugs of our own are builtin exceptions, never this.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message
