"""What became of a call, and the decisions on the way."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Failure(StrEnum):
    """Why a call reaches no cluster."""

    NO_LISTENER = "NoListener"
    NO_FILTER_CHAIN = "NoFilterChain"
    MULTIPLE_FILTER_CHAIN = "MultipleFilterChain"
    """Two chains have the same condition: Envoy refuses such a listener."""
    NO_VIRTUAL_HOST = "NoVirtualHost"
    NO_ROUTE = "NoRoute"
    TLS_REDIRECT = "TLSRedirect"
    """The client is sent to the same place under https."""
    TLS_ERROR = "TLSError"
    """Plain bytes where TLS is asked for."""
    MTLS_ERROR = "MTLSError"
    """Client and server do not agree on whose certificates count."""
    PROTOCOL_ERROR = "ProtocolError"
    """What is not HTTP, or is encrypted, where HTTP is read."""


class Stage(StrEnum):
    """The decisions, in their order."""

    LISTENER = "listener"
    LISTENER_FILTERS = "listener filters"
    FILTER_CHAIN = "filter chain"
    TLS = "tls"
    ROUTE_CONFIG = "route configuration"
    VIRTUAL_HOST = "virtual host"
    ROUTE = "route"
    DESTINATION = "destination"


class Step(Struct, frozen=True, kw_only=True):
    """One decision: what was chosen (empty: nothing) and why."""

    stage: Stage
    chosen: str
    reason: str


class Target(Struct, frozen=True, kw_only=True):
    """A cluster and its share of the calls in percent; `found` says whether the proxy has such a cluster."""

    cluster: str
    share: float = 100.0
    found: bool = True


class Answer(Struct, frozen=True, kw_only=True):
    """What the proxy answers by itself."""

    status: int
    location: str = ""


class Rewritten(Struct, frozen=True, kw_only=True):
    """What the forwarded request says where it differs from the one that came; empty: unchanged."""

    path: str = ""
    host: str = ""


class Result(Struct, frozen=True, kw_only=True):
    """Names are those of Envoy's resources; empty where the call did not get so far, or the resource has no name."""

    listener: str = ""
    filter_chain: str = ""
    route_config: str = ""
    virtual_host: str = ""
    route: str = ""
    targets: tuple[Target, ...] = ()
    mirrors: tuple[Target, ...] = ()
    answer: Answer | None = None
    rewritten: Rewritten = Rewritten()
    failure: Failure | None = None
    steps: tuple[Step, ...] = ()

    @property
    def cluster(self) -> str:
        """The only cluster, or the one with the largest share."""
        return max(self.targets, key=lambda target: target.share).cluster if self.targets else ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `-o json`."""
        return {
            "listener": self.listener,
            "filterChain": self.filter_chain,
            "routeConfig": self.route_config,
            "virtualHost": self.virtual_host,
            "route": self.route,
            "clusters": [{"name": item.cluster, "percent": item.share, "found": item.found} for item in self.targets],
            "mirrors": [{"name": item.cluster, "percent": item.share, "found": item.found} for item in self.mirrors],
            "answer": {"status": self.answer.status, "location": self.answer.location} if self.answer is not None else None,
            "rewritten": {"path": self.rewritten.path, "host": self.rewritten.host},
            "error": self.failure.value if self.failure is not None else None,
            "steps": [{"stage": step.stage.value, "chosen": step.chosen, "reason": step.reason} for step in self.steps],
        }
