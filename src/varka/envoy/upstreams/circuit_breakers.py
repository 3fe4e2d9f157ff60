"""How much one proxy may have open to a cluster: connections, requests that wait, requests, retries."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2
from envoy.type.v3 import percent_pb2

from varka.envoy import messages
from varka.model.traffic import ConnectionPool, RetryBudget, TrafficPolicy

Thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds


def of(policy: TrafficPolicy) -> Any:
    """The limits of a policy; what is not limited has Envoy's largest number, as in Istio."""
    pool, budget = policy.connection_pool, policy.retry_budget
    if pool is None and budget is None:
        return NO_LIMITS
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[_thresholds(pool, budget)])


def _thresholds(pool: ConnectionPool | None, budget: RetryBudget | None) -> Any:
    limit = messages.MAX_UINT32
    found = Thresholds(
        max_connections=messages.uint32((pool and pool.max_connections) or limit),
        max_pending_requests=messages.uint32((pool and pool.http1_max_pending_requests) or limit),
        max_requests=messages.uint32((pool and pool.http2_max_requests) or limit),
        max_retries=messages.uint32(limit if pool is None or pool.max_retries is None else pool.max_retries),
        track_remaining=True,
    )
    if budget is not None:
        found.retry_budget.budget_percent.CopyFrom(percent_pb2.Percent(value=budget.percent))
        found.retry_budget.min_retry_concurrency.value = budget.min_retry_concurrency
    return found


NO_LIMITS = circuit_breaker_pb2.CircuitBreakers(thresholds=[_thresholds(None, None)])
