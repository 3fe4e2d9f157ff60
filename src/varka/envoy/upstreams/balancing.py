"""How a cluster chooses among its endpoints, and how it sets aside the ones that fail."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2, outlier_detection_pb2
from envoy.type.v3 import percent_pb2

from varka.envoy import messages
from varka.envoy.security import policies
from varka.model.traffic import LbAlgorithm, LoadBalancer, OutlierDetection, TrafficPolicy

Cluster = cluster_pb2.Cluster
POLICIES = {
    LbAlgorithm.LEAST_REQUEST: Cluster.LEAST_REQUEST,
    LbAlgorithm.RANDOM: Cluster.RANDOM,
    LbAlgorithm.ROUND_ROBIN: Cluster.ROUND_ROBIN,
    LbAlgorithm.PASSTHROUGH: Cluster.CLUSTER_PROVIDED,
    LbAlgorithm.RING_HASH: Cluster.RING_HASH,
    LbAlgorithm.MAGLEV: Cluster.MAGLEV,
}
DEFAULT_RING_SIZE = 1024
DEFAULT_EJECTION_PERCENT = 10


def apply(cluster: Any, policy: TrafficPolicy, passthrough: bool) -> None:
    """Set algorithm, slow start and outlier detection; `passthrough` clusters have nothing to choose from."""
    if passthrough:
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    else:
        _apply_algorithm(cluster, policy.load_balancer or policies.DEFAULT_BALANCER)
    if policy.outlier_detection is not None:
        _apply_outliers(cluster, policy.outlier_detection)


def _apply_algorithm(cluster: Any, balancer: LoadBalancer) -> None:
    cluster.lb_policy = POLICIES[balancer.algorithm]
    if balancer.algorithm is LbAlgorithm.PASSTHROUGH:
        cluster.type = Cluster.ORIGINAL_DST
        cluster.ClearField("eds_cluster_config")
        cluster.ClearField("load_assignment")
    elif balancer.algorithm is LbAlgorithm.RING_HASH:
        cluster.ring_hash_lb_config.minimum_ring_size.value = balancer.minimum_ring_size or DEFAULT_RING_SIZE
    elif balancer.algorithm is LbAlgorithm.MAGLEV and balancer.table_size:
        cluster.maglev_lb_config.table_size.value = balancer.table_size
    if balancer.warmup_seconds:
        _apply_slow_start(cluster, balancer)
    if balancer.locality is None or balancer.locality.enabled:
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()


def _apply_slow_start(cluster: Any, balancer: LoadBalancer) -> None:
    if balancer.algorithm is LbAlgorithm.LEAST_REQUEST:
        slow = cluster.least_request_lb_config.slow_start_config
    elif balancer.algorithm is LbAlgorithm.ROUND_ROBIN:
        slow = cluster.round_robin_lb_config.slow_start_config
    else:
        return
    slow.slow_start_window.CopyFrom(messages.duration(balancer.warmup_seconds or 0))
    if balancer.warmup_minimum_percent is not None:
        slow.min_weight_percent.CopyFrom(percent_pb2.Percent(value=balancer.warmup_minimum_percent))
    if balancer.warmup_aggression is not None:
        slow.aggression.default_value = balancer.warmup_aggression
        slow.aggression.runtime_key = "slow_start.aggression"


def _apply_outliers(cluster: Any, said: OutlierDetection) -> None:
    """Envoy's own success-rate ejection is off, since Istio does not offer it."""
    detection = outlier_detection_pb2.OutlierDetection(enforcing_success_rate=messages.uint32(0))
    five, gateway = said.consecutive_5xx, said.consecutive_gateway_errors
    if five is not None:
        detection.consecutive_5xx.value = five
        detection.enforcing_consecutive_5xx.value = 100 if five > 0 else 0
    if gateway is not None:
        detection.consecutive_gateway_failure.value = gateway
        detection.enforcing_consecutive_gateway_failure.value = 100 if gateway > 0 else 0
    if said.split_external_local_origin_errors:
        detection.split_external_local_origin_errors = True
        if said.consecutive_local_origin_failures is not None:
            detection.consecutive_local_origin_failure.value = said.consecutive_local_origin_failures
            detection.enforcing_consecutive_local_origin_failure.value = 100 if said.consecutive_local_origin_failures > 0 else 0
        detection.enforcing_local_origin_success_rate.value = 0
    if said.interval is not None:
        detection.interval.CopyFrom(messages.duration(said.interval))
    if said.base_ejection_time is not None:
        detection.base_ejection_time.CopyFrom(messages.duration(said.base_ejection_time))
    detection.max_ejection_percent.value = DEFAULT_EJECTION_PERCENT if said.max_ejection_percent is None else said.max_ejection_percent
    cluster.outlier_detection.CopyFrom(detection)
    cluster.common_lb_config.healthy_panic_threshold.CopyFrom(percent_pb2.Percent(value=float(said.min_health_percent)))
