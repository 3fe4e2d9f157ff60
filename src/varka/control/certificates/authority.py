"""The mesh's authority in the cluster: where its key is kept, and how its root reaches every namespace.

The root is the Secret `istio-ca-secret` of the mesh's namespace, made when it is not there; a Secret `cacerts`
(mounted, or read from the API) comes before it. Replicas that start together agree on whichever Secret was made first.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from datetime import timedelta

from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Api, ApiError, Object
from varka.client.informers import Informer
from varka.control import metrics
from varka.control.settings import Settings
from varka.identity import authority, certificates, keys
from varka.identity.authority import Authority

log = logging.getLogger("varka.control.certificates.authority")

CA_SECRET, CACERTS, ROOT_CONFIG_MAP = "istio-ca-secret", "cacerts", "istio-ca-root-cert"
ROOT_KEY = "root-cert.pem"
SERVING_LIFETIME = timedelta(days=365)
UNTOUCHED = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
RETRY_SECONDS = 1.0
_FILES = ("ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem")


class AuthorityKeeper:
    """Holds the authority in use. `on_change` is called after it was loaded or replaced."""

    def __init__(self, api: Api, settings: Settings, clock: Clock, on_change: Callable[[Authority], None]) -> None:
        self._api = api
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._authority: Authority | None = None

    @property
    def authority(self) -> Authority:
        """The authority in use; VarkaError before it is loaded."""
        if self._authority is None:
            raise VarkaError("the certificate authority is not ready yet", "try again in a moment")
        return self._authority

    async def load(self, trust_domain: str) -> Authority:
        """Read or make the authority; ApiError when the API does not let us."""
        files = await self._plugged_in()
        if files:
            found = authority.plugged_in(files, self._clock.now())
            log.info("signing with the plugged-in authority of the Secret %s", CACERTS)
        else:
            found = await self._self_signed(trust_domain)
        self._use(found)
        return found

    def _use(self, found: Authority) -> None:
        if found == self._authority:
            return
        self._authority = found
        metrics.ROOT_EXPIRY.set(certificates.facts(found.root_pem).not_after.timestamp())
        metrics.CHAIN_EXPIRY.set(certificates.facts(found.certificate_pem).not_after.timestamp())
        self._on_change(found)

    async def _plugged_in(self) -> dict[str, bytes]:
        folder = self._settings.cacerts
        mounted = {name: (folder / name).read_bytes() for name in _FILES if (folder / name).is_file()}
        if "ca-cert.pem" in mounted:
            return mounted
        secret = await self._secret(CACERTS)
        return decoded(secret) if secret is not None else {}

    async def _secret(self, name: str) -> Object | None:
        try:
            return await self._api.get(resources.SECRETS, name, self._settings.namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def _self_signed(self, trust_domain: str) -> Authority:
        secret = await self._secret(CA_SECRET)
        if secret is None:
            made = authority.self_signed(trust_domain, self._clock.now())
            files = {"ca-cert.pem": made.certificate_pem, "ca-key.pem": made.key_pem, "cert-chain.pem": b"", "key.pem": b"", ROOT_KEY: made.root_pem}
            body: Object = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": CA_SECRET, "namespace": self._settings.namespace},
                "type": "istio.io/ca-root",
                "data": {name: base64.b64encode(content).decode() for name, content in files.items()},
            }
            try:
                await self._api.create(resources.SECRETS, body, self._settings.namespace)
                log.info("made a root certificate for %s", trust_domain)
                return made
            except ApiError as error:
                if error.code != 409:
                    raise
                secret = await self._secret(CA_SECRET)
        found = decoded(secret or {})
        if not found.get("ca-cert.pem") or not found.get("ca-key.pem"):
            raise VarkaError(f"the Secret {self._settings.namespace}/{CA_SECRET} has no ca-cert.pem and ca-key.pem", "delete it to have a new root made")
        return Authority(certificate_pem=found["ca-cert.pem"], key_pem=found["ca-key.pem"], root_pem=found.get(ROOT_KEY) or found["ca-cert.pem"])

    def changed(self, secret: Object | None) -> None:
        """The Secret `cacerts` is another one: use it, or say why not."""
        if secret is None:
            return
        try:
            self._use(authority.plugged_in(decoded(secret), self._clock.now()))
        except VarkaError as error:
            log.error("the Secret %s is not used: %s", CACERTS, error)

    def serving_certificate(self) -> tuple[bytes, bytes, bytes]:
        """Chain, key and root for this process's own ports; the key lives in memory only."""
        key = keys.generate()
        chain = self.authority.sign_server(key, self._settings.dns_names, SERVING_LIFETIME, self._clock.now())
        return "".join(chain).encode(), keys.to_pem(key), self.authority.root_pem


def decoded(secret: Object) -> dict[str, bytes]:
    """A Secret's data."""
    return {name: base64.b64decode(content) for name, content in (secret.get("data") or {}).items() if content}


class RootDistributor:
    """Keeps the ConfigMap `istio-ca-root-cert` in every namespace equal to the root."""

    def __init__(self, api: Api, keeper: AuthorityKeeper, namespaces: Informer, clock: Clock) -> None:
        self._api = api
        self._keeper = keeper
        self._namespaces = namespaces
        self._clock = clock
        self._config_maps = Informer(api, resources.CONFIGMAPS, field_selector=f"metadata.name={ROOT_CONFIG_MAP}", clock=clock)
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Follow namespaces and ConfigMaps until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._config_maps.run())
            await self._config_maps.synced.wait()
            self._namespaces.add_handler(self._namespace_changed)
            self._config_maps.add_handler(self._config_map_changed)
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._due:
                    await self._ensure(next(iter(self._due)))

    def refresh(self) -> None:
        """The root has changed: look at every namespace again."""
        for namespace in self._namespaces:
            self._mark(namespace["metadata"]["name"])

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and (old is None or old.get("status") != new.get("status")):
            self._mark(new["metadata"]["name"])

    def _config_map_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        if obj is not None and (new is None or new.get("data") != self._data()):
            self._mark(obj["metadata"]["namespace"])

    def _mark(self, namespace: str) -> None:
        if namespace not in UNTOUCHED:
            self._due[namespace] = None
            self._wake.set()

    def _data(self) -> dict[str, str]:
        return {ROOT_KEY: self._keeper.authority.root_pem.decode()}

    async def _ensure(self, name: str) -> None:
        self._due.pop(name, None)
        namespace = self._namespaces.get(name)
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return
        current = self._config_maps.get(ROOT_CONFIG_MAP, name)
        if current is not None and current.get("data") == self._data():
            return
        body: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": ROOT_CONFIG_MAP, "namespace": name, "labels": {"istio.io/config": "true"}},
            "data": self._data(),
        }
        try:
            if current is None:
                await self._api.create(resources.CONFIGMAPS, body, name)
            else:
                await self._api.patch(resources.CONFIGMAPS, ROOT_CONFIG_MAP, {"data": self._data()}, name)
        except ApiError as error:
            if error.code == 409:
                await self._overwrite(name)
            elif error.code not in (403, 404):
                log.warning("cannot write the root certificate into namespace %s: %s", name, error)
                await self._clock.sleep(RETRY_SECONDS)
                self._mark(name)
        except VarkaError as error:
            log.debug("no API to write the root certificate with: %s", error)
            await self._clock.sleep(RETRY_SECONDS)
            self._mark(name)

    async def _overwrite(self, name: str) -> None:
        try:
            await self._api.patch(resources.CONFIGMAPS, ROOT_CONFIG_MAP, {"data": self._data()}, name)
        except VarkaError as error:
            log.warning("cannot write the root certificate into namespace %s: %s", name, error)
