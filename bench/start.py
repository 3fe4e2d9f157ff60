"""How long a person waits: for a cluster, for a whole mesh, for a command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bench.clusters import Context, Failed
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
    """Help of both programs."""
    return tuple(_command(context, [program, "--help"], (0,)) for program in ("varka", "istioctl"))


def validation(context: Context) -> tuple[Figure, ...]:
    """A file looked at without a server; the code of `analyze` for findings is no failure."""
    return (_command(context, ["istioctl", "analyze", "--use-kube=false", "samples/bookinfo/bookinfo.yaml"], (0, 79)),)


def _command(context: Context, words: list[str], right: tuple[int, ...]) -> Figure:
    environment = {**os.environ, "VARKA_HOME": "/nonexistent", "KUBECONFIG": "/nonexistent"}
    times = []
    for _ in range(5 if context.quick else 15):
        started = time.monotonic()
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]], env=environment, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False
        )
        times.append(time.monotonic() - started)
        if done.returncode not in right:
            raise Failed(f"{' '.join(words)} ended with {done.returncode}: {' '.join(done.stderr.splitlines()[-1:])}")
    return Figure(name=f"`{' '.join(words)}`", value=median(times), unit="s", budget=0.2, detail=f"median of {len(times)}")
