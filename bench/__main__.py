"""`python -m bench [--only NAME]… [--quick]`: measure, print the table, write the JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench import registry, table
from bench.clusters import Context
from bench.figures import Outcome

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, object]:
    """What the numbers were taken on."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), platform.machine()
    )
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    load = os.getloadavg()[0]
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(kib / 1e6, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_at_start": round(load, 2),
    }


def measure(name: str, context: Context) -> Outcome:
    """One measurement; whatever goes wrong is its result."""
    started = time.monotonic()
    try:
        outcome = Outcome(name=name, figures=registry.MEASUREMENTS[name](context))
    except Exception as error:
        text = " ".join(str(error).split())[:240]
        outcome = Outcome(name=name, error=text if type(error).__name__ == "Failed" else f"{type(error).__name__}: {text}")
    print(f"{name:<14} {'failed' if outcome.error else 'measured'} in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return outcome


def main() -> int:
    """The exit code: 1 when a measurement failed; a missed budget is no failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what the project promises about speed and size.")
    parser.add_argument("--only", action="append", choices=tuple(registry.MEASUREMENTS), help="take this measurement only; may be repeated")
    parser.add_argument("--all", action="store_true", help="also take the measurements that take minutes: " + ", ".join(sorted(registry.BY_REQUEST)))
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--name", default=time.strftime("%Y%m%d-%H%M%S"), help="name of the file under bench/results")
    parser.add_argument("--markdown", action="store_true", help="print the table for a document")
    options = parser.parse_args()
    about = machine()
    context = Context(quick=options.quick)
    chosen = options.only or [name for name in registry.MEASUREMENTS if options.all or name not in registry.BY_REQUEST]
    outcomes: list[Outcome] = []
    try:
        outcomes += [measure(name, context) for name in chosen]
    finally:
        context.close()
    about["load_at_end"] = round(os.getloadavg()[0], 2)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print((table.markdown if options.markdown else table.render)(outcomes))
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{options.name}.json"
    file.write_text(json.dumps({"machine": about, "quick": options.quick, "outcomes": [asdict(outcome) for outcome in outcomes]}, indent=1) + "\n")
    return 1 if any(outcome.error for outcome in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
