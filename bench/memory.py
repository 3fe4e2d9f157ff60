"""Memory of the Bookinfo mesh, as proportional set size of every process of its cluster."""

from __future__ import annotations

from bench import processes
from bench.clusters import Context
from bench.figures import Figure


def bookinfo(context: Context) -> tuple[Figure, ...]:
    """The mesh that `varka demo` leaves, by kind of process and in total."""
    mesh = context.bookinfo()
    found = processes.by_kind(processes.below(mesh.supervisor))
    parts = tuple(Figure(name=f"memory: {kind}", value=size, unit="MB", detail=f"{count} processes, PSS") for kind, (count, size) in found.items())
    return (*parts, Figure(name="memory of the Bookinfo mesh", value=sum(part.value for part in parts), unit="MB", budget=700, detail="PSS of all processes"))
