"""Everybody of the mesh who may call a workload: each identity that some pod with a sidecar has, and nobody in particular."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from varka.analysis.authorization import evaluation
from varka.analysis.authorization.evaluation import Decision
from varka.analysis.authorization.requests import Request
from varka.model.snapshot import Snapshot
from varka.model.view import ProxyView

SCHEME = "spiffe://"


class Caller(Struct, frozen=True, kw_only=True):
    """An identity, `trust-domain/ns/namespace/sa/account`, and the workloads that have it; without one, plain text."""

    principal: str = ""
    workloads: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.principal or "anyone without a certificate"


def known(snapshot: Snapshot) -> tuple[Caller, ...]:
    """All of them, by identity; the one without identity is the last."""
    found: dict[str, set[str]] = {}
    for pod in snapshot.pods.by_name.values():
        if pod.sidecar and pod.running and pod.service_account:
            found.setdefault(pod.service_account.removeprefix(SCHEME), set()).add(f"{pod.namespace}/{pod.workload or pod.name}")
    return (*(Caller(principal=name, workloads=tuple(sorted(found[name]))) for name in sorted(found)), Caller())


def decisions(snapshot: Snapshot, view: ProxyView, request: Request) -> list[tuple[Caller, Decision]]:
    """What becomes of the request from each of them."""
    return [(caller, evaluation.of_view(view, replace(request, principal=caller.principal))) for caller in known(snapshot)]
