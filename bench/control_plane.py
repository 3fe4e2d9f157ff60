"""The control plane under load, as a process of its own: `python -m bench.control_plane` prints one JSON object.

The real `Istiod` runs with its real ports and an API server in memory. Times are taken where the control plane sees
them: from the write into the API to the moment when the last proxy's acknowledgement has been applied.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import logging
import os
import pstats
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import uvloop
from tests.fakes.api import FakeApi

from bench import mesh_objects
from varka.base.clock import SystemClock
from varka.client import resources
from varka.control import garbage
from varka.control.istiod import Istiod
from varka.control.settings import Settings
from varka.identity import keys
from varka.identity.spiffe import SpiffeId
from varka.xds import types
from varka.xds.streams import Outcome

ACCOUNT = "s0"


class Acknowledgements:
    """Counts which proxies have acknowledged a type since `expect`, by listening to the pusher."""

    def __init__(self, istiod: Istiod, patience: float) -> None:
        self._patience = patience
        self.pusher = istiod.pusher
        self._answered = istiod.pusher.answered
        self._type = ""
        self._missing: set[str] = set()
        self._done = asyncio.Event()
        self.at = 0.0
        istiod.pusher.answered = self._listen  # type: ignore[method-assign]

    def expect(self, type_url: str) -> None:
        """From now on every connected proxy is to acknowledge this type."""
        self._type, self._missing = type_url, set(self.pusher.clients)
        self._done.clear()

    async def wait(self) -> float:
        """When the last one came (monotonic)."""
        async with asyncio.timeout(self._patience):
            await self._done.wait()
        return self.at

    def _listen(self, client: Any, type_url: str, outcome: Outcome) -> None:
        self._answered(client, type_url, outcome)
        if type_url == self._type and outcome is Outcome.ACK:
            self._missing.discard(client.id)
            if not self._missing and not self._done.is_set():
                self.at = time.monotonic()
                self._done.set()


class Run:
    """One control plane, its API and its proxies."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.api = FakeApi(SystemClock())
        self.istiod = Istiod(self.api, Settings(bind="127.0.0.1", secure_port=0, monitoring_port=0, webhook_port=0))
        self.acks = Acknowledgements(self.istiod, options.patience)
        self.found: dict[str, Any] = {}
        self.proxies = 0

    async def measure(self) -> dict[str, Any]:
        """Everything, in the order in which it builds up."""
        await mesh_objects.fill(self.api, self.options.services, self.options.virtual_services, self.options.policies)
        task = asyncio.create_task(self.istiod.run())
        try:
            await self._until(lambda: self.istiod.started.is_set() and self.istiod.pusher.ready, 60)
            proxies = await self._connect()
            self.proxies = proxies.pid
            try:
                await self._changes()
            finally:
                assert proxies.stdin is not None
                proxies.stdin.close()
                await asyncio.wait_for(proxies.wait(), 30)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return self.found

    async def _until(self, true: Callable[[], bool], patience: float) -> None:
        async with asyncio.timeout(patience):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def _settings(self) -> bytes:
        authority = self.istiod._keeper.authority
        key = keys.generate()
        identity = SpiffeId(f"spiffe://cluster.local/ns/{mesh_objects.NAMESPACE}/sa/{ACCOUNT}")
        chain = authority.sign_workload(keys.signing_request(key, identity), identity, timedelta(hours=12), datetime.now(UTC))
        given = {
            "address": f"127.0.0.1:{self.istiod.ports['secure']}",
            "root": authority.root_pem.decode(),
            "key": keys.to_pem(key).decode(),
            "chain": "".join(chain),
            "count": self.options.proxies,
        }
        return json.dumps(given).encode() + b"\n"

    async def _connect(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.proxies", stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        await asyncio.sleep(1.5)
        profile = self._profile("connect")
        used, started = self._cpu(), time.monotonic()
        process.stdin.write(self._settings())
        count = self.options.proxies

        def configured() -> bool:
            if process.returncode is not None:
                raise RuntimeError(f"the simulated proxies ended with {process.returncode}")
            found = list(self.istiod.pusher.clients.values())
            return len(found) == count and all(len(client.state.types) >= 4 and client.settled for client in found)

        await self._until(configured, self.options.patience * 2)
        self._end(profile)
        self.found["connect_seconds"] = time.monotonic() - started
        self.found["connect_cpu_seconds"] = self._cpu() - used
        return process

    async def _changes(self) -> None:
        await asyncio.sleep(1.0)
        profile = self._profile("endpoint")
        began = time.monotonic()
        await self._series("endpoint", self._endpoint, types.ENDPOINT)
        self._end(profile)
        profile = self._profile("route")
        await self._series("route", self._route, types.ROUTE)
        self._end(profile)
        self.found["full_push_seconds"] = [await self._full_push(11 + number) for number in range(self.options.full_pushes)]
        self.found["steady_cpu_share"] = await self._steady()
        self.found["elapsed"] = time.monotonic() - began
        self.found["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.found["pss_mb"] = _rss_now()

    async def _series(self, name: str, change: Callable[[int], Awaitable[None]], type_url: str) -> None:
        times = []
        used, used_by_proxies = self._cpu(), _cpu_of(self.proxies)
        for number in range(self.options.changes):
            await asyncio.sleep(self.options.pause)
            self.acks.expect(type_url)
            started = time.monotonic()
            await change(number)
            times.append(await self.acks.wait() - started)
        self.found[f"{name}_seconds"] = times
        self.found[f"{name}_cpu_seconds_per_change"] = (self._cpu() - used) / self.options.changes
        self.found[f"{name}_cpu_seconds_of_proxies"] = (_cpu_of(self.proxies) - used_by_proxies) / self.options.changes

    async def _full_push(self, seconds: int) -> float:
        """Change what is in every cluster; the time until every proxy has acknowledged everything."""
        await asyncio.sleep(self.options.pause)
        self.acks.expect(types.CLUSTER)
        started = time.monotonic()
        self.api.change(resources.CONFIGMAPS, "istio", "istio-system", data=mesh_objects.mesh_config(seconds))
        await self.acks.wait()
        await self._until(lambda: all(client.settled for client in self.istiod.pusher.clients.values()), self.options.patience)
        return time.monotonic() - started

    async def _steady(self) -> float:
        """The share of one core that one endpoint change a second costs."""
        used, began, number = self._cpu(), time.monotonic(), 0
        while time.monotonic() - began < self.options.steady:
            await self._endpoint(1000 + number)
            number += 1
            await asyncio.sleep(max(0.0, began + number - time.monotonic()))
        return (self._cpu() - used) / (time.monotonic() - began)

    async def _endpoint(self, number: int) -> None:
        which = number % self.options.services
        endpoints = [mesh_objects.endpoint(which, one) for one in range(2)]
        if number % 2 == 0 or number >= 1000:
            endpoints.append({**endpoints[0], "addresses": [f"10.253.{number // 250 % 250}.{number % 250 + 1}"]})
        else:
            endpoints.pop()
        self.api.change(resources.ENDPOINT_SLICES, f"s{which}-x", mesh_objects.NAMESPACE, endpoints=endpoints)

    async def _route(self, number: int) -> None:
        which = number * max(1, self.options.services // self.options.virtual_services) % self.options.services
        spec = mesh_objects.virtual_service(which, 6 + number)["spec"]
        self.api.change(mesh_objects.VIRTUAL_SERVICES, f"s{which}", mesh_objects.NAMESPACE, spec=spec)

    def _cpu(self) -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    def _profile(self, phase: str) -> cProfile.Profile | None:
        if self.options.profile != phase:
            return None
        profile = cProfile.Profile()
        profile.enable()
        return profile

    def _end(self, profile: cProfile.Profile | None) -> None:
        if profile is not None:
            profile.disable()
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)


def _rss_now() -> float:
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def _cpu_of(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--proxies", type=int, default=200)
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--virtual-services", type=int, default=100)
    parser.add_argument("--policies", type=int, default=0)
    parser.add_argument("--full-pushes", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between changes")
    parser.add_argument("--steady", type=float, default=10.0, help="seconds of one change a second")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds that any one thing may take; connecting twice as many")
    parser.add_argument("--profile", choices=("", "connect", "endpoint", "route"), default="")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    garbage.postpone()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    run = Run(options)
    print(json.dumps(uvloop.run(run.measure())))


if __name__ == "__main__":
    main()
