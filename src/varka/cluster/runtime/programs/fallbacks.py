"""A folder of commands for containers: stand-ins for programs that this machine does not have.

It comes last in a container's PATH, so a program that is installed later wins at once.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

COMMANDS = {"curl": "curl.py", "wget": "wget.py", "time": "gnu_time.py"}
HERE = Path(__file__).parent


def install(folder: Path) -> None:
    """Write the commands that are missing on this machine into `folder`, and take others away; safe to repeat."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name, program in COMMANDS.items():
        command = folder / name
        if shutil.which(name):
            command.unlink(missing_ok=True)
            continue
        draft = folder / f".{name}"
        draft.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {HERE / program} "$@"\n')
        draft.chmod(0o755)
        draft.replace(command)
