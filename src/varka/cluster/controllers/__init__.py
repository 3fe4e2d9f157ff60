"""The loops that make a cluster out of an API server: one reconcile loop a file.

Every loop looks at the state through shared caches (`context`), is woken by changes, and writes what is missing
(`queues`). `run` starts them all; `ready` is set when the node is Ready and the system's own objects exist.
"""

from __future__ import annotations

from varka.cluster.controllers.loadbalancers import Allocation, Balancer
from varka.cluster.controllers.loops import run
from varka.cluster.controllers.settings import ControllerSettings

__all__ = ["Allocation", "Balancer", "ControllerSettings", "run"]
