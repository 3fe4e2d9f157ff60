"""The subresources of pods, services and nodes that are not one answer but a conversation: log, exec, attach, port-forward and proxy.

Each handler checks the request against the stored pod, asks the pod runtime, and carries bytes between it and the
client, with bounded memory: whoever is slow holds the other side back.
"""

from __future__ import annotations

from varka.cluster.apiserver.request import StreamHandler
from varka.cluster.apiserver.streams import forwarding, logs, node_metrics, proxying, terminals

HANDLERS: dict[tuple[str, str, str], StreamHandler] = {
    ("", "pods", "log"): logs.serve,
    ("", "pods", "exec"): terminals.serve_exec,
    ("", "pods", "attach"): terminals.serve_attach,
    ("", "pods", "portforward"): forwarding.serve,
    ("", "pods", "proxy"): proxying.serve_pod,
    ("", "services", "proxy"): proxying.serve_service,
    ("", "nodes", "proxy"): node_metrics.serve,
}
"""For `Extensions.streams`."""
