"""A folder of commands for containers: stand-ins for programs that this machine does not have.

It comes last in a container's PATH, so a program that is installed later wins at once.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

COMMANDS = {"curl": "curl.py", "wget": "wget.py", "time": "gnu_time.py", "nslookup": "nslookup.py", "nc": "netcat.py"}
HERE = Path(__file__).parent
PLACE = "/run/varka/programs"
"""Where containers see the folder."""


def install(folder: Path) -> None:
    """Write the commands that are missing on this machine into `folder`, and take others away; safe to repeat.

    Below it, `shell` holds what the images of small shells bring in forms of their own, whatever the machine has, and
    `python` the names that Python's image gives to its interpreter.
    """
    for place in (folder / "shell", folder / "python"):
        place.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name, program in COMMANDS.items():
        if shutil.which(name):
            (folder / name).unlink(missing_ok=True)
        else:
            _write(folder / name, f"{sys.executable} -I -S {HERE / program}")
    _write(folder / "shell" / "time", f"{sys.executable} -I -S {HERE}/gnu_time.py --short")
    plain = getattr(sys, "_base_executable", sys.executable)
    for name in ("python", "python3"):
        _write(folder / "python" / name, plain)


def _write(command: Path, line: str) -> None:
    draft = command.with_name(f".{command.name}")
    draft.write_text(f'#!/bin/sh\nexec {line} "$@"\n')
    draft.chmod(0o755)
    draft.replace(command)
