"""Prometheus' text format: metrics of what is known elsewhere, written out at the moment of the question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition:
    """Series by metric, in the order in which they are added."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}

    def add(self, kind: str, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """One series of a `gauge` or `counter`."""
        self._types[name] = kind
        shown = ",".join(f'{key}="{escape(text)}"' for key, text in (labels or {}).items())
        self._lines.setdefault(name, []).append(f"{name}{{{shown}}} {value:.15g}" if shown else f"{name} {value:.15g}")

    def text(self) -> str:
        """Everything, metric by metric."""
        return "".join(f"{line}\n" for name, lines in self._lines.items() for line in _block(self._types[name], name, lines))


def _block(kind: str, name: str, lines: Iterable[str]) -> Iterable[str]:
    yield f"# TYPE {name} {kind}"
    yield from lines


def escape(text: str) -> str:
    """A label's value, as it stands between quotation marks."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
