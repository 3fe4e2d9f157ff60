"""Which requests somebody wants to see."""

from __future__ import annotations

import re
from dataclasses import dataclass

from varka.base.errors import VarkaError
from varka.telemetry.requests.record import Request, Workload

_CODE = re.compile(r"(\d{3}|[1-5]xx)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """All that is given must hold; of several values of one kind, one."""

    workloads: tuple[str, ...] = ()
    """Names as `name` or `name.namespace`, of source or destination."""
    codes: tuple[str, ...] = ()
    """`403`, or a class such as `5xx`; 0 for connections."""
    flags: tuple[str, ...] = ()
    """Envoy's response flags, such as UH or UAEX."""
    policies: tuple[str, ...] = ()
    """AuthorizationPolicies as `name` or `namespace/name`; `none` for what no policy allowed."""
    slower: int = 0
    """Milliseconds that a request took at least."""

    def __post_init__(self) -> None:
        for code in self.codes:
            if not _CODE.fullmatch(code) and code != "0":
                raise VarkaError(f"{code!r} is no response code", "write one such as 403, a class such as 5xx, or 0 for connections")

    def wants(self, request: Request) -> bool:
        """Whether the request is one to see."""
        line = request.line
        return (
            (not self.workloads or any(_is(one, wanted) for wanted in self.workloads for one in (request.source, request.destination)))
            and (not self.codes or any(_has_code(line.response_code, wanted) for wanted in self.codes))
            and (not self.flags or not {flag.upper() for flag in self.flags}.isdisjoint(line.response_flags.split(",")))
            and (not self.policies or any(wanted in (line.policy, line.policy.rpartition("/")[2]) for wanted in self.policies if line.policy))
            and line.duration >= self.slower
        )


def _is(workload: Workload, wanted: str) -> bool:
    return wanted in (workload.name, workload.label, workload.pod)


def _has_code(code: int, wanted: str) -> bool:
    return str(code) == wanted or (wanted[1:].lower() == "xx" and str(code // 100) == wanted[0])
