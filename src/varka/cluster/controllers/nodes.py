"""The Node object: what this machine has, and that it is alive."""

from __future__ import annotations

import logging
import os
import platform
from pathlib import Path

from varka import KUBERNETES_VERSION, __version__
from varka.base.errors import VarkaError
from varka.client.api import ApiError, Object
from varka.client.resources import LEASES, NODES
from varka.cluster.controllers import conditions, events
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder

log = logging.getLogger(__name__)

COMPONENT = "kubelet"
STATUS_SECONDS = 300
HEALTHY = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


def capacity() -> dict[str, str]:
    """The machine's processors, memory and disk as quantities."""
    memory = next((line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:")), "0")
    disk = os.statvfs("/")
    return {
        "cpu": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory}Ki",
        "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
        "pods": "1000",
    }


def _file(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def info() -> dict[str, str]:
    """The `nodeInfo` of this machine."""
    release = dict(line.split("=", 1) for line in _file("/etc/os-release").splitlines() if "=" in line)
    machine = platform.machine()
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "bootID": _file("/proc/sys/kernel/random/boot_id"),
        "containerRuntimeVersion": f"varka://{__version__}",
        "kernelVersion": platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": KUBERNETES_VERSION,
        "machineID": _file("/etc/machine-id"),
        "operatingSystem": "linux",
        "osImage": release.get("PRETTY_NAME", "Linux").strip('"'),
        "systemUUID": _file("/etc/machine-id"),
    }


class Node:
    """Keeps the Node and its Lease; `start` makes them, `run` renews them."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        self._name = context.settings.node_name

    async def start(self) -> None:
        """Create the Node, or take over the one that is there, and mark it Ready."""
        settings, api = self._context.settings, self._context.api
        hardware = {"kubernetes.io/arch": info()["architecture"], "kubernetes.io/os": "linux", "kubernetes.io/hostname": self._name}
        labels = {**hardware, "node-role.kubernetes.io/control-plane": "", "beta.kubernetes.io/arch": info()["architecture"], "beta.kubernetes.io/os": "linux"}
        try:
            node = await api.get(NODES, self._name)
        except ApiError as error:
            if error.code != 404:
                raise
            spec = {"podCIDR": settings.pod_cidr, "podCIDRs": [settings.pod_cidr]}
            node = await api.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._name, "labels": labels}, "spec": spec})
        await self._report(node)
        self._recorder.record(
            COMPONENT, {"apiVersion": "v1", "kind": "Node", **node}, events.NORMAL, "NodeReady", f"Node {self._name} status is now: NodeReady"
        )

    async def run(self) -> None:
        """Renew lease and status until cancelled."""
        reported = self._context.clock.monotonic()
        while True:
            try:
                await self._renew()
                if self._context.clock.monotonic() - reported >= STATUS_SECONDS:
                    await self._report(await self._context.api.get(NODES, self._name))
                    reported = self._context.clock.monotonic()
            except ApiError as error:
                if error.code == 404:
                    await self._revive()
                else:
                    log.warning("the node's heartbeat failed: %s", error)
            except (VarkaError, OSError, TimeoutError) as error:
                log.warning("the node's heartbeat failed: %s", error)
            await self._context.clock.sleep(self._context.settings.lease_seconds)

    async def _revive(self) -> None:
        """Someone has deleted the Node: a kubelet would register it again."""
        try:
            await self.start()
        except (TimeoutError, VarkaError) as error:
            log.warning("the node could not be registered: %s", error)

    async def _report(self, node: Object) -> None:
        context, now = self._context, self._context.timestamp()
        settings, status = context.settings, node.get("status") or {}
        listed = list(status.get("conditions") or ())
        for condition in HEALTHY:
            entry = dict(zip(("type", "status", "reason", "message"), condition, strict=True))
            listed = conditions.put(listed, {**entry, "lastHeartbeatTime": now}, now)
        wanted = {
            **status,
            "capacity": capacity(),
            "allocatable": capacity(),
            "conditions": listed,
            "addresses": [{"type": "InternalIP", "address": settings.node_address}, {"type": "Hostname", "address": self._name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": info(),
        }
        await context.api.update(NODES, {**node, "status": wanted}, subresource="status")

    async def _renew(self) -> None:
        api, now = self._context.api, self._context.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        try:
            await api.patch(LEASES, self._name, {"spec": {"renewTime": now}}, "kube-node-lease")
        except ApiError as error:
            if error.code != 404:
                raise
            node = await api.get(NODES, self._name)
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": node["metadata"]["uid"]}
            meta = {"name": self._name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
            spec = {"holderIdentity": self._name, "leaseDurationSeconds": 40, "renewTime": now}
            await api.create(LEASES, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}, "kube-node-lease")
