"""The node: API server, store, controllers, pod runtime, DNS and service addresses in one process.

It may be killed at any time. `init` starts it again with the same listening sockets, it reads the store, finds the rule table
as it left it, and takes its running pods back; connections between pods never notice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

import varka
from varka.base import logs
from varka.base.clock import SystemClock
from varka.client import manifests, resources
from varka.client.api import Api, ApiError, Object
from varka.client.informers import Informers, Key
from varka.cluster import settings, state
from varka.cluster.apiserver import plugins, server
from varka.cluster.apiserver.access import certificates
from varka.cluster.controllers import loops
from varka.cluster.controllers.loadbalancers import Allocation, Balancer
from varka.cluster.controllers.settings import ControllerSettings
from varka.cluster.network import plane, resolver
from varka.cluster.runtime import catalog, privacy, runtime

log = logging.getLogger("varka.node")


def _private(path: Path) -> bool:
    """Whether a folder of this installation lies where containers have a folder of their own."""
    return path.is_dir() and (path.is_relative_to("/tmp") or path.is_relative_to("/run"))


def inherited_sockets(text: str) -> dict[str, socket.socket]:
    """The listeners that `init` hands over: `name:number,…`."""
    found = {}
    for item in filter(None, text.split(",")):
        name, _, number = item.partition(":")
        handle = socket.socket(fileno=int(number))
        handle.setblocking(False)
        os.set_inheritable(int(number), False)
        found[name] = handle
    return found


class Node:
    """One node of one cluster, put together."""

    def __init__(self, config: settings.ClusterSettings, folder: state.StateFolder, sockets: dict[str, socket.socket]) -> None:
        self._config = config
        self._folder = folder
        self._sockets = sockets
        self._clock = SystemClock()
        self._network = plane.NetworkPlane(config, folder, sockets)

    async def run(self) -> None:
        """Everything, until cancelled."""
        begin = time.monotonic()
        for file in (self._folder.ready_file, self._folder.serving_file):
            file.unlink(missing_ok=True)
        config, folder = self._config, self._folder
        pki = certificates.ensure(folder.pki, self._clock.now(), (config.node_ip, config.api_service_ip))
        certificates.write_kubeconfig(folder.kubeconfig, certificates.kubeconfig(pki, f"https://127.0.0.1:{config.api_port}", config.context))
        self._network.prepare()
        parts = plugins.Plugins(pki, self._clock)
        told = server.ServerSettings(
            store=folder.store,
            listeners=(self._sockets["api-tcp"], self._sockets["api-unix"]),
            tls=certificates.server_context(pki),
        )
        api_server = server.ApiServer(told, parts.extensions, clock=self._clock)
        await api_server.start()
        try:
            await self._serve(api_server, parts, pki, begin)
        finally:
            await api_server.stop()

    async def _serve(self, api_server: server.ApiServer, parts: plugins.Plugins, pki: certificates.Pki, begin: float) -> None:
        api = api_server.api
        await parts.start(api_server.core)
        pods = self._runtime(api)
        api_server.core.runtime = pods.streams
        informers = Informers(api, self._clock)
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(parts.run(), name="apiserver")
            await parts.synced()
            await api_server.listen()
            self._tell(self._folder.serving_file, begin)
            group.create_task(self._network.run(informers), name="network")
            group.create_task(informers.run(), name="informers")
            group.create_task(self._controllers(api, pki, ready), name="controllers")
            await ready.wait()
            group.create_task(pods.run(), name="runtime")
            group.create_task(self._define(api), name="definitions")
            api_server.ready = True
            self._tell(self._folder.ready_file, begin)
            log.info("the node is ready after %.2f s", time.monotonic() - begin)

    async def _define(self, api: Api) -> None:
        """Create the kinds that the cluster has from the start."""
        for file in self._config.definitions:
            for definition in manifests.load(Path(file).read_text()):
                try:
                    await api.create(resources.CUSTOM_RESOURCE_DEFINITIONS, definition)
                except ApiError as error:
                    if error.code != 409:
                        log.error("%s is not defined: %s", definition["metadata"]["name"], error)

    def _runtime(self, api: Api) -> runtime.Runtime:
        config, folder = self._config, self._folder
        package = Path(varka.__file__).parent
        placeholders = {"python": sys.executable, "package": str(package), "samples": str(package.parents[1] / "samples"), "state": str(folder.root)}
        needed = [Path(sys.prefix), Path(sys.base_prefix), package, package.parents[1] / "samples"]
        images = catalog.Catalog([catalog.BASE, *map(Path, config.catalogs), folder.images], placeholders)
        told = runtime.RuntimeSettings(
            node_name=config.name,
            node_ip=config.node_ip,
            folder=folder.pods,
            programs=self._folder.root / "programs",
            hidden=(folder.root, *privacy.folders(Path.home(), needed)),
            visible=tuple(path for path in (package.parent, package.parents[1] / "samples", Path(sys.prefix), Path(sys.base_prefix)) if _private(path)),
            cluster_domain=config.cluster_domain,
        )

        def resolv_conf(namespace: str, policy: str, more: Mapping[str, Any] | None) -> str:
            return resolver.resolv_conf(namespace, policy, more, dns_ip=config.dns_ip, domain=config.cluster_domain)

        return runtime.Runtime(api, told, self._network.pods, images, resolv_conf, self._clock)

    def _tell(self, file: Path, begin: float) -> None:
        """Let `varka up` know of a step."""
        state.write_json(file, {"seconds": round(time.monotonic() - begin, 3)})

    async def _controllers(self, api: Api, pki: certificates.Pki, ready: asyncio.Event) -> None:
        config = self._config
        told = ControllerSettings(
            node_name=config.name,
            node_address=config.node_ip,
            pod_cidr=config.pod_cidr,
            root_ca=pki.ca_crt.decode(),
            api_address=config.api_service_ip,
            api_port=config.node_api_port,
            dns_address=config.dns_ip,
            dns_target=config.dns_ip,
        )
        await loops.run(api, self._clock, told, balancer=Balancer(allocate=self._allocate, release=self._release), ready=ready)

    async def _allocate(self, service: Object) -> Allocation:
        place = await self._network.forwarding.allocate(service)
        return Allocation(ip=place.address, ports=tuple(sorted(place.ports.items())))

    async def _release(self, key: Key) -> None:
        """The forwarding itself sees that the service has gone."""


async def _main(folder: state.StateFolder) -> None:
    config = settings.load(folder.settings)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await Node(config, folder, inherited_sockets(os.environ.pop("VARKA_SOCKETS", ""))).run()


def main() -> int:
    """`python -m varka.cluster.node --state FOLDER`, started by `init`."""
    parser = argparse.ArgumentParser(description="run the node of a cluster")
    parser.add_argument("--state", required=True, type=Path)
    logs.setup(os.environ.get("VARKA_LOG_LEVEL", "INFO"))
    uvloop.run(_main(state.StateFolder(parser.parse_args().state)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
