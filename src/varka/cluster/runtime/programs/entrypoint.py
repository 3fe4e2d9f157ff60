"""An image's entry point that lets a container name another program, as the scripts of many images do.

`entrypoint.py PROGRAM [ARGUMENT…]`: when the first argument is a program in PATH it is run as it is, otherwise PROGRAM gets
all arguments. With `--only-without-program` in place of PROGRAM the arguments are always run as they are.
"""

from __future__ import annotations

import os
import shutil
import sys


def main() -> None:
    """Replace this process."""
    program, arguments = sys.argv[1], sys.argv[2:]
    alone = program == "--only-without-program"
    if alone or (arguments and not arguments[0].startswith("-") and shutil.which(arguments[0])):
        line = arguments
    else:
        line = [program, *arguments]
    try:
        os.execvp(line[0], line)
    except OSError as error:
        print(f"exec: {line[0]!r}: {error.strerror}", file=sys.stderr)
        raise SystemExit(127) from error


if __name__ == "__main__":
    main()
