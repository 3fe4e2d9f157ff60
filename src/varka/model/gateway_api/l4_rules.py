"""Rules of TLSRoutes and TCPRoutes: connections to backends, by weight."""

from __future__ import annotations

from msgspec import Struct

from varka.model.gateway_api import backends
from varka.model.gateway_api.backends import Directory
from varka.model.gateway_api.statuses import Condition
from varka.model.traffic import Destination, WeightedDestination
from varka.resources import Parsed
from varka.resources.gateway_api import routes as written


class Rules(Struct, frozen=True, kw_only=True):
    """Where connections go, and what is wrong; a route for connections has one rule."""

    destinations: tuple[WeightedDestination, ...] = ()
    unresolved: Condition | None = None
    unsupported: Condition | None = None


def of(source: Parsed[written.TlsRoute] | Parsed[written.TcpRoute], directory: Directory) -> Rules:
    """The rules of a route for connections; shares of backends that cannot be used are closed."""
    assert source.spec is not None
    problems: list[Condition | None] = []
    found: list[WeightedDestination] = []
    for rule in source.spec.rules[:1]:
        for one in rule.backend_refs:
            destination, problem = backends.resolve(source.kind, source.meta.namespace, one, directory)
            problems.append(problem)
            if one.weight:
                found.append(WeightedDestination(destination=destination or Destination(host=backends.NOWHERE), weight=one.weight))
    return Rules(destinations=tuple(found), unresolved=backends.first(problems))
