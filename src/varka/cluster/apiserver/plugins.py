"""Puts together everything around the API server's core: who calls, what they may, webhooks, reviews, streams, usage.

Build `Plugins`, give `extensions` to the server, then `start` with the server's context and keep `run` going beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from varka.base import clock as clocks
from varka.base.errors import VarkaError
from varka.client.api import Api, Object
from varka.client.informers import Informers
from varka.cluster.apiserver import metrics_api, protobuf, streams
from varka.cluster.apiserver.access import authentication, authorization, bootstrap_roles, escalation, reviews, tokens
from varka.cluster.apiserver.access.certificates import Pki
from varka.cluster.apiserver.admission import webhooks
from varka.cluster.apiserver.registry import Registry
from varka.cluster.apiserver.request import Extensions, ServerContext

log = logging.getLogger(__name__)

FILL_TIMEOUT = 30.0
"""Seconds for the first lists of roles, bindings and webhook configurations."""


class Plugins:
    """The parts, and their one life cycle."""

    def __init__(self, pki: Pki, clock: clocks.Clock | None = None) -> None:
        self._clock = clock or clocks.SystemClock()
        self._context: ServerContext | None = None
        self._informers: Informers | None = None
        self._roles_changed = asyncio.Event()
        self.signer = tokens.TokenSigner(pki.sa_key, self._clock)
        self.authorizer = authorization.RoleAuthorizer()
        self.admission = webhooks.WebhookAdmission(self._api, self._registry)
        handlers = reviews.Reviews(self.signer, self.authorizer, self._clock)
        self.extensions = Extensions(
            authenticator=authentication.RequestAuthenticator(self.signer, self._api, self.authorizer),
            authorizer=self.authorizer,
            admission=escalation.Chain(escalation.EscalationGuard(self.authorizer), self.admission),
            protobuf=protobuf.decode,
            streams=dict(streams.HANDLERS),
            creators=handlers.handlers(),
            readers=metrics_api.Metrics(self._clock).handlers(),
            virtual=[*reviews.RESOURCES, *metrics_api.RESOURCES],
            documents={"/.well-known/openid-configuration": self.signer.openid_configuration, "/openid/v1/jwks": self.signer.jwks},
        )

    async def start(self, context: ServerContext) -> None:
        """Connect to the server, write the bootstrap roles, and read what decisions rest on; the server must already answer in-process calls."""
        self._context = context
        await bootstrap_roles.ensure(context.api)
        informers = Informers(context.api, self._clock)
        self.authorizer.follow(informers)
        self.admission.follow(informers)
        informers.of(authorization.CLUSTER_ROLES).add_handler(self._role_changed)
        self._informers = informers
        async with asyncio.TaskGroup() as group:
            # a request that comes before `run` has begun must not be refused for want of a list
            filling = group.create_task(informers.run(), name="apiserver informers")
            await informers.synced(FILL_TIMEOUT)
            filling.cancel()

    async def run(self) -> None:
        """Follow roles, bindings and webhook configurations until cancelled."""
        if self._informers is None:
            raise RuntimeError("start comes before run")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._informers.run(), name="apiserver informers")
                group.create_task(self._aggregate(self._informers), name="role aggregation")
        finally:
            await self.admission.close()

    async def synced(self, timeout: float = FILL_TIMEOUT) -> None:
        """Wait until decisions rest on everything that is stored; so it is once `start` is done."""
        if self._informers is not None:
            await self._informers.synced(timeout)

    async def mint(self, namespace: str, account: str, audiences: Sequence[str], seconds: int, bound: Object | None = None) -> tuple[str, str]:
        """A token for a ServiceAccount and its expiry; `bound` is the Pod (with `kind`) that it dies with. For projected volumes."""
        found = await self._api().get(tokens.SERVICE_ACCOUNTS, account, namespace)
        return self.signer.sign(found, audiences, seconds, bound)

    def _role_changed(self, old: Object | None, new: Object | None) -> None:
        self._roles_changed.set()

    async def _aggregate(self, informers: Informers) -> None:
        roles = informers.of(authorization.CLUSTER_ROLES)
        await roles.synced.wait()
        while True:
            await self._roles_changed.wait()
            self._roles_changed.clear()
            try:
                await authorization.write_aggregated(self._api(), roles)
            except VarkaError as error:
                log.warning("writing aggregated roles failed: %s", error)

    def _api(self) -> Api:
        if self._context is None:
            raise RuntimeError("the plug-ins are not started")
        return self._context.api

    def _registry(self) -> Registry:
        if self._context is None:
            raise RuntimeError("the plug-ins are not started")
        return self._context.registry
