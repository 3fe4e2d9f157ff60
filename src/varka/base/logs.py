"""Log lines in the form of Istio's own components: time, level, scope and message, tab-separated, on standard error."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        level = "warn" if record.levelname == "WARNING" else record.levelname.lower()
        scope = record.name.removeprefix("varka.")
        line = f"{moment}\t{level}\t{scope}\t{record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def setup(level: str = "INFO") -> None:
    """Send the process's log records to standard error; call once, where the process is put together."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
