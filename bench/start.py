"""How long a person waits: for a cluster, for a whole mesh, for a command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.clusters import Context
from bench.figures import Figure, median

BIN = Path(sys.executable).parent


def cluster(context: Context) -> tuple[Figure, ...]:
    """`varka up` on an empty state folder, until it returns with a Ready node."""
    times = []
    for number in range(2 if context.quick else 5):
        name = f"up{number}"
        times.append(context.cluster(name).varka("up"))
        context.down(name)
    return (Figure(name="`varka up` to a Ready node", value=median(times), unit="s", budget=2, detail=f"median of {len(times)}, worst {max(times):.2f} s"),)


def mesh(context: Context) -> tuple[Figure, ...]:
    """The whole command `varka demo`, its proofs by requests included."""
    context.bookinfo()
    return (
        Figure(
            name="nothing to Bookinfo under STRICT mTLS, proven",
            value=context.demo_seconds,
            unit="s",
            budget=10,
            detail="whole of varka demo, its requests included",
        ),
    )


def commands(context: Context) -> tuple[Figure, ...]:
    """Commands that need no server."""
    found = []
    given = {"VARKA_HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"}
    for words in (["varka", "--help"], ["istioctl", "--help"], ["istioctl", "version", "--remote=false"]):
        times = []
        for _ in range(5 if context.quick else 15):
            started = time.monotonic()
            subprocess.run(
                [str(BIN / words[0]), *words[1:]], env={**os.environ, **given}, capture_output=True, check=True, timeout=30, stdin=subprocess.DEVNULL
            )
            times.append(time.monotonic() - started)
        found.append(Figure(name=f"`{' '.join(words)}`", value=median(times), unit="s", budget=0.2, detail=f"median of {len(times)}"))
    return tuple(found)
