"""What every namespace is given: the service account `default`, and the cluster's CA in the ConfigMap `kube-root-ca.crt`."""

from __future__ import annotations

from varka.client.api import ApiError, Gvr, Object
from varka.client.informers import Key
from varka.client.resources import CONFIGMAPS, NAMESPACES, SERVICE_ACCOUNTS
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.queues import Reconciler

ROOT_CA = "kube-root-ca.crt"
DESCRIPTION = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP"


class ServiceAccounts:
    """The controller; keys of its queue are namespaces."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces, self._accounts, self._maps = context.informer(NAMESPACES), context.informer(SERVICE_ACCOUNTS), context.informer(CONFIGMAPS)
        self.reconciler = Reconciler("serviceaccounts", self.reconcile, context.clock)
        self._namespaces.add_handler(self.reconciler.on_change())
        self._accounts.add_handler(self._content_changed)
        self._maps.add_handler(self._content_changed)

    def _content_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        if obj is not None and old is not None and obj["metadata"]["name"] in ("default", ROOT_CA):
            self.reconciler.add(Key("", obj["metadata"]["namespace"]))

    async def reconcile(self, key: Key) -> None:
        """Put back what is missing in one namespace."""
        namespace = self._namespaces.items.get(key)
        if namespace is None or "deletionTimestamp" in namespace["metadata"]:
            return
        meta = {"namespace": key.name}
        if self._accounts.get("default", key.name) is None:
            await self._create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {**meta, "name": "default"}})
        root = self._context.settings.root_ca
        if not root:
            return
        held = self._maps.get(ROOT_CA, key.name)
        data = {"ca.crt": root}
        if held is None:
            named = {**meta, "name": ROOT_CA, "annotations": {"kubernetes.io/description": DESCRIPTION}}
            await self._create(CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": data})
        elif held.get("data") != data:
            await self._context.update(CONFIGMAPS, {**held, "data": data})

    async def _create(self, gvr: Gvr, obj: Object) -> None:
        try:
            await self._context.create(gvr, obj)
        except ApiError as error:
            if error.code != 409 or error.reason != "AlreadyExists":
                raise
