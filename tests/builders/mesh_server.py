"""A whole API server with Istio's kinds and a control plane that validates them and writes their status, in one process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.builders import cluster_server
from tests.builders.cluster_server import Cluster

from varka.client import resources
from varka.control.istiod import Istiod
from varka.control.settings import Settings
from varka.resources import crds

GROUPS = ["security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"]


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Cluster]:
    """The server with its mesh, ready to take resources."""
    async with cluster_server.serving(folder) as cluster:
        for name in ("default", "istio-system"):
            if name not in {one["metadata"]["name"] for one in (await cluster.api.list(resources.NAMESPACES)).items}:
                await cluster.api.create(resources.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for definition in crds.definitions():
            await cluster.api.create(resources.CUSTOM_RESOURCE_DEFINITIONS, definition)
        istiod = Istiod(cluster.api, Settings(bind="127.0.0.1", secure_port=0, monitoring_port=0, webhook_port=0))
        task = asyncio.create_task(istiod.run())
        try:
            async with asyncio.timeout(20):
                await istiod.started.wait()
                await _register(cluster, istiod)
            yield cluster
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _register(cluster: Cluster, istiod: Istiod) -> None:
    root = ""
    while not root:
        found = await cluster.api.list(resources.CONFIGMAPS, "default")
        root = next((one["data"]["root-cert.pem"] for one in found.items if one["metadata"]["name"] == "istio-ca-root-cert"), "")
        await asyncio.sleep(0.02)
    hook = {
        "name": "rev.validation.istio.io",
        "clientConfig": {"url": f"https://localhost:{istiod.ports['webhook']}/validate", "caBundle": base64.b64encode(root.encode()).decode()},
        "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": GROUPS, "apiVersions": ["*"], "resources": ["*"]}],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "istio-validator-istio-system"},
    }
    await cluster.api.create(resources.VALIDATING_WEBHOOKS, {**configuration, "webhooks": [hook]})


async def status_of(cluster: Cluster, gvr: Any, name: str, *wanted: str) -> dict[str, Any]:
    """The status of a resource of the namespace `default`, once it has conditions of all these types."""
    async with asyncio.timeout(30):
        while True:
            status = (await cluster.api.get(gvr, name, "default")).get("status") or {}
            if set(wanted) <= {one["type"] for one in status.get("conditions") or ()}:
                return dict(status)
            await asyncio.sleep(0.05)
