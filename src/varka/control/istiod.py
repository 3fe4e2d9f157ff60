"""The control plane, put together: one object that owns every part and starts them in order."""

from __future__ import annotations

import asyncio
import functools
import logging
from functools import partial

from varka.base.clock import Clock, SystemClock
from varka.base.errors import VarkaError
from varka.client.api import Api
from varka.control import garbage, metrics, signing_keys, validation, wasm_fetcher
from varka.control.addresses import AddressKeeper
from varka.control.certificates.authority import CACERTS, AuthorityKeeper, RootDistributor
from varka.control.certificates.ca_service import CertificateService, Lifetimes
from varka.control.certificates.secret_access import SecretAccess
from varka.control.certificates.serving_certificate import ServingCertificate
from varka.control.debug_server import DebugServer
from varka.control.gateway_api.keeper import GatewayKeeper
from varka.control.injection.options import Options
from varka.control.inspection import Inspector
from varka.control.pipeline import MeshPipeline, Parts
from varka.control.push import Pusher
from varka.control.registration import Registrar
from varka.control.reporting import status_writer
from varka.control.reporting.diagnosis import Diagnosis
from varka.control.reporting.events import Recorder
from varka.control.settings import Settings
from varka.control.state import ClusterState
from varka.control.webhook_server import BundlePatcher, WebhookServer
from varka.identity.authority import Authority
from varka.model.snapshot import Snapshot
from varka.rpc.server import Server
from varka.xds import server as xds_server

log = logging.getLogger("varka.control")

RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Istiod:
    """All of the control plane. `run` serves until cancelled; `started` is set when every port is open."""

    def __init__(self, api: Api, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.started = asyncio.Event()
        self.ports: dict[str, int] = {}
        self._api = api
        self._clock = clock or SystemClock()
        self.state = ClusterState(api, settings, self._changed, self._clock)
        self._grpc_certificate = ServingCertificate(alpn=("h2",), client_certificates=True)
        self._web_certificate = ServingCertificate()
        self._keeper = AuthorityKeeper(api, settings, self._clock, self._authority_changed)
        self._roots = RootDistributor(api, self._keeper, self.state.namespaces, self._clock)
        self._bundles = BundlePatcher(api, settings.service, settings.namespace, lambda: self._keeper.authority.root_pem, self._clock)
        self._recorder = Recorder(api, settings, self._clock)
        get = signing_keys.over_http(functools.cache(lambda: signing_keys.tls_context(settings.keys_insecure)))
        self._keys = signing_keys.KeyFetcher(get, self._clock, self._changed, mode=settings.keys_fetched_by, interval=settings.keys_interval)
        self._addresses = AddressKeeper(api, self.state, self._clock)
        self._secret_access = SecretAccess(api, self._changed, self._clock)
        self._modules = wasm_fetcher.WasmFetcher(wasm_fetcher.over_http(functools.cache(signing_keys.tls_context)), self._clock, self._changed)
        parts = Parts(keys=self._keys, may_read_secrets=self._secret_access.allowed, addresses=self._addresses, modules=self._modules)
        self.pipeline = MeshPipeline(self.state, settings, parts)
        self._registrar = Registrar(api, self.state, self._clock, name=settings.pod_name, grace=settings.workload_entry_grace)
        self.pusher = Pusher(self.pipeline, self._clock, after=settings.debounce_after, at_most=settings.debounce_max, watcher=self._registrar)
        self.discovery = xds_server.DiscoveryServer(self.pusher, self._clock.monotonic)
        self._ca = CertificateService(api, self._keeper, self.lifetimes, self.trust_domain, self._clock, self._recorder.secret_rotated)
        self._webhooks = WebhookServer(self._web_certificate, self.injection_options, validation.problems)
        self._status = status_writer.StatusWriter(
            api,
            self.state,
            settings,
            self._clock,
            Diagnosis(self.state, self.pipeline, self._clock) if settings.analysis else None,
            self.pipeline.findings,
        )
        self.pipeline.told = partial(self._recorder.mesh_config, f"istio{settings.suffix}")
        self.pipeline.patching.changed = lambda: self._status.changed("config")
        self._gateways = GatewayKeeper(api, self.state, settings, self._clock, self._snapshot)
        inspector = Inspector(self.pusher, self.state, settings, self.ready)
        version = {"version": settings.version, "revision": settings.revision, "component": "pilot"}
        self._debug = DebugServer(inspector, version)

    def _snapshot(self) -> Snapshot | None:
        return self.pipeline.snapshot

    def _changed(self, reason: str) -> None:
        if reason == "secret":
            self._keeper.changed(self.state.secrets.get(CACERTS, self.settings.namespace))
        self.pusher.changed(reason)
        self._status.changed(reason)
        self._gateways.changed()

    def _authority_changed(self, found: Authority) -> None:
        chain, key, root = self._keeper.serving_certificate()
        for certificate in (self._grpc_certificate, self._web_certificate):
            certificate.use(chain, key, root)
        self._roots.refresh()
        self._bundles.refresh()

    def ready(self) -> bool:
        """Proxies are served, and the API server can call the webhooks."""
        return self.started.is_set() and self.pusher.ready and self._bundles.settled.is_set()

    def trust_domain(self) -> str:
        """The mesh's trust domain, as it is set now."""
        return str(self.state.mesh_config.get("trustDomain") or "cluster.local")

    def lifetimes(self) -> Lifetimes:
        """Of workload certificates, as they are set now."""
        settings = self.settings
        text = self.state.mesh_config.get("certificateTTL")
        if text:
            from varka.base import durations

            try:
                wanted = durations.seconds(str(text))
                return Lifetimes(default=wanted, maximum=wanted)
            except ValueError as error:
                log.warning("certificateTTL of the mesh configuration is not used: %s", error)
        return Lifetimes(default=settings.workload_certificate_lifetime, maximum=settings.max_workload_certificate_lifetime)

    def injection_options(self) -> Options:
        """What injection goes by now."""
        settings = self.settings
        return Options(
            mesh=self.state.mesh_config,
            values=self.state.values,
            revision=settings.revision,
            native_sidecars=settings.native_sidecars or str(self._pilot_env("ENABLE_NATIVE_SIDECARS")).lower() == "true",
            cluster_domain=settings.cluster_domain,
            proxy_configs=self.pipeline.proxy_configs(),
            bootstrap=self.pipeline.bootstrap_addition,
        )

    def _pilot_env(self, name: str) -> object:
        return ((self.state.values.get("pilot") or {}).get("env") or {}).get(name, "")

    async def run(self) -> None:
        """Serve until cancelled."""
        metrics.INFO.labels(version=self.settings.version).set(1)
        metrics.BUILD.labels(component="pilot", tag=self.settings.version).set(1)
        server = Server({**self.discovery.handlers(), **self._ca.handlers()}, largest_message=xds_server.MAX_REQUEST)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.state.run(), name="state")
                tasks.create_task(self._recorder.run(), name="events")
                tasks.create_task(self._keys.run(), name="keys")
                tasks.create_task(self._modules.run(), name="modules")
                tasks.create_task(self.pusher.run(), name="push")
                tasks.create_task(garbage.run(lambda: self.pusher.quiet, self._clock), name="garbage")
                tasks.create_task(self._registrar.run(), name="registration")
                tasks.create_task(self._addresses.run(), name="addresses")
                tasks.create_task(self._secret_access.run(), name="secret access")
                self.ports["monitoring"] = await self._debug.start(self.settings.bind, self.settings.monitoring_port)
                await self.state.synced.wait()
                await self._load_authority()
                tasks.create_task(self._roots.run(), name="roots")
                tasks.create_task(self._bundles.run(), name="bundles")
                tasks.create_task(self._status.run(), name="status")
                tasks.create_task(self._gateways.run(), name="gateways")
                self.ports["secure"] = await server.start(self.settings.bind, self.settings.secure_port, self._grpc_certificate.context)
                self.ports["webhook"] = await self._webhooks.start(self.settings.bind, self.settings.webhook_port)
                log.info("serving %s", ", ".join(f"{name} on {port}" for name, port in self.ports.items()))
                self.started.set()
                await asyncio.Event().wait()
        finally:
            await self._stop(server)

    async def _load_authority(self) -> None:
        attempt = 0
        while True:
            try:
                await self._keeper.load(self.trust_domain())
                return
            except VarkaError as error:
                wait = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                log.warning("no certificate authority yet (next attempt in %.1f s): %s", wait, error)
                attempt += 1
                await self._clock.sleep(wait)

    async def _stop(self, server: Server) -> None:
        await server.stop()
        await self._webhooks.stop()
        await self._debug.stop()


def describe(error: BaseException) -> str:
    """An exception for the log, groups unfolded."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"
