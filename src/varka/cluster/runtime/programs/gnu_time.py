"""A stand-in for GNU time on machines without it: `time [-p] [-f FORMAT] [-o FILE] COMMAND…`. With `--short` first, its
own form is that of small shells: `real`, `user` and `sys`, a line each. Standard library only."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time


def main() -> int:
    """Run the command, tell how long it took on standard error, end as it ended."""
    parser = argparse.ArgumentParser(prog="time", allow_abbrev=False)
    parser.add_argument("-f", "--format")
    parser.add_argument("-p", "--portability", action="store_true")
    parser.add_argument("-o", "--output")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    begin = time.monotonic()
    try:
        code = subprocess.run(options.command, check=False).returncode
    except OSError as error:
        print(f"time: cannot run {options.command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    spent = os.times()
    lines = "real %e\nuser %U\nsys %S" if options.portability else "real\t%es\nuser\t%Us\nsys\t%Ss" if options.short else None
    text = report(options.format or lines, time.monotonic() - begin, spent.children_user, spent.children_system)
    text = text.replace("%C", " ".join(options.command)).replace("%x", str(code))
    if options.output:
        with open(options.output, "w") as file:
            file.write(text + "\n")
    else:
        print(text, file=sys.stderr)
    return code if code >= 0 else 128 - code


def report(template: str | None, real: float, user: float, system: float) -> str:
    """GNU time's format letters: E elapsed, e in seconds, U user, S system, P share."""
    text = template or "%Uuser %Ssystem %Eelapsed %PCPU"
    minutes, seconds = divmod(real, 60)
    share = f"{100 * (user + system) / real:.0f}%" if real else "0%"
    values = {"%E": f"{int(minutes)}:{seconds:05.2f}", "%e": f"{real:.2f}", "%U": f"{user:.2f}", "%S": f"{system:.2f}", "%P": share}
    for letter, value in values.items():
        text = text.replace(letter, value)
    return text.replace("\\n", "\n")


if __name__ == "__main__":
    sys.exit(main())
