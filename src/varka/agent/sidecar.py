"""One proxy's companion: from the first certificate to the last drained connection.

The order matters. Envoy starts only after its certificate is there, because an Envoy that cannot reach its control
plane at start backs off for seconds.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from varka.agent import envoy_command, rootfs
from varka.agent.dns import name_server, names
from varka.agent.dns.name_client import NameClient
from varka.agent.dns.name_server import NameServer
from varka.agent.envoy_admin import EnvoyAdmin
from varka.agent.issuance import RESOLV_CONF, Certificate, Issuer
from varka.agent.netns import NetworkNamespace
from varka.agent.proxy_settings import ProxySettings
from varka.agent.sds import SecretServer
from varka.agent.status_server import StatusServer
from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.identity import certificates

log = logging.getLogger("varka.agent.sidecar")

SDS_SOCKET = "var/run/secrets/workload-spiffe-uds/socket"
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
ROOT_CHECK_SECONDS = 10.0
"""How often the mesh's root is compared with the one in use, so that a new root reaches Envoy before old leaves expire."""
MINIMUM_DRAIN_SECONDS = 0.3
DRAIN_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a proxy lives: `root` is its file system and `pid` its process as seen from here (None: our own container)."""

    root: Path
    pid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the container has to do to become Envoy: files to write (mode 0600), then the command."""

    files: dict[str, str]
    argv: list[str]


class Sidecar:
    """The companion of one Envoy. `run` ends when `stop` is called; the caller watches the process."""

    def __init__(self, settings: ProxySettings, place: Place, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._root = place.root
        self._issuer = Issuer(settings, place.root)
        self._namespace = NetworkNamespace(place.pid)
        self._admin = EnvoyAdmin(self._namespace, settings.admin_port)
        self._secrets = SecretServer(rootfs.inside(place.root, SDS_SOCKET), place.root)
        self._status = StatusServer(settings, self._namespace, self._admin, self.drain)
        self._draining: asyncio.Task[None] | None = None
        self._names = self._name_server() if settings.captures_dns else None
        self._fetching: asyncio.Task[None] | None = None

    def _name_server(self) -> NameServer:
        resolver = names.parse(rootfs.inside(self._root, RESOLV_CONF).read_text(errors="replace"))
        return NameServer(name_server.Settings(namespace=self.settings.namespace, resolver=resolver), self._namespace)

    @property
    def name(self) -> str:
        return f"{self.settings.namespace}/{self.settings.pod}"

    @property
    def certificate(self) -> Certificate | None:
        """The certificate in use."""
        return self._status.certificate

    def launch(self) -> Launch:
        """Bootstrap and command line for this proxy's Envoy."""
        said = [f"{name}={value}" for name, value in envoy_command.environment(self.settings, self._root).items()]
        return Launch(files=envoy_command.files(self.settings, self._root), argv=["/usr/bin/env", *said, *envoy_command.argv(self.settings, self._root)])

    async def run(self, on_certified: Callable[[], None]) -> None:
        """Serve until cancelled; `on_certified` is called once, when Envoy may start."""
        try:
            await self._status.start()
            await self._secrets.start()
            if self._names is not None:
                await self._names.start()
            certificate = await self._issue()
            on_certified()
            self._fetch_names(certificate)
            while True:
                certificate = await self._until_renewal(certificate)
        finally:
            await self._close()

    def _fetch_names(self, first: Certificate) -> None:
        if self._names is not None:
            client = NameClient(self.settings, self._root, self._names.use, self._clock)
            self._fetching = asyncio.create_task(client.run(lambda: self.certificate or first))

    async def drain(self) -> None:
        """Begin to end this Envoy: no new connections, a bounded wait for the open ones, then quit. Further calls have no effect."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        settings = self.settings
        self._status.draining = True
        try:
            inbound_only = settings.type == "sidecar"
            await self._admin.post("/drain_listeners?graceful" + ("&inboundonly" if inbound_only else ""))
            deadline = self._clock.monotonic() + settings.termination_drain_duration
            await self._clock.sleep(min(MINIMUM_DRAIN_SECONDS, settings.termination_drain_duration))
            while self._clock.monotonic() < deadline and await self._admin.active_connections(inbound_only=inbound_only):
                await self._clock.sleep(DRAIN_POLL_SECONDS)
            await self._admin.post("/quitquitquit")
        except VarkaError as error:
            log.info("%s: drain ended early: %s", self.name, error)

    async def _issue(self) -> Certificate:
        attempt = 0
        while True:
            try:
                certificate = await self._issuer.issue()
                await self._use(certificate)
                return certificate
            except VarkaError as error:
                wait = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                log.warning("%s: no certificate (attempt %d, next in %.1f s): %s", self.name, attempt + 1, wait, error)
                attempt += 1
                await self._clock.sleep(wait * random.uniform(0.8, 1.2))

    async def _use(self, certificate: Certificate) -> None:
        await self._secrets.publish(certificate, self._trust(certificate))
        self._status.certificate = certificate
        log.info("%s: certificate %s for %s until %s", self.name, certificate.serial, certificate.spiffe_id, certificate.not_after.isoformat())

    def _trust(self, certificate: Certificate) -> bytes:
        """The roots to believe: the issuer's and the mesh's, each once."""
        try:
            mesh = self._issuer.root_certificate()
        except VarkaError:
            mesh = b""
        return b"".join(dict.fromkeys([*certificates.split(certificate.root_pem), *certificates.split(mesh)]))

    async def _until_renewal(self, certificate: Certificate) -> Certificate:
        due = certificates.renew_at(certificate.not_before, certificate.not_after, random.random())
        trust = self._trust(certificate)
        while (left := (due - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(min(left, ROOT_CHECK_SECONDS))
            if (newer := self._trust(certificate)) != trust:
                log.info("%s: the mesh's root certificate changed", self.name)
                trust = newer
                break
        return await self._issue()

    async def _close(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
        if self._fetching is not None:
            self._fetching.cancel()
        if self._names is not None:
            await self._names.stop()
        await self._status.stop()
        await self._secrets.stop()
        await self._admin.close()
        self._namespace.close()
