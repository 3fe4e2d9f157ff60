from __future__ import annotations

import asyncio

import pytest
from tests.fakes.api import FakeApi
from tests.fakes.clock import settle

from varka.base.errors import VarkaError
from varka.client import manifests
from varka.client.api import Gvr
from varka.client.resources import CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, Kinds

TEXT = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: web}}
---
---
{apiVersion: v1, kind: Namespace, metadata: {name: mesh}}
"""
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gateways.networking.istio.io"},
    "spec": {
        "group": "networking.istio.io",
        "scope": "Namespaced",
        "names": {"plural": "gateways", "kind": "Gateway"},
        "versions": [{"name": "v1", "storage": False}, {"name": "v1beta1", "storage": True}, {"name": "v1alpha1", "served": False}],
    },
}
GATEWAY = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "g"}}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": {"replicas": 2}}


def test_lists_are_unfolded_and_empty_documents_skipped():
    """A manifest is a flat list of objects."""
    assert [obj["kind"] for obj in manifests.load(TEXT)] == ["Service", "Namespace"]


@pytest.mark.parametrize(("text", "message"), [("a: [", "is no YAML"), ("a: 1", "without apiVersion and kind")])
def test_what_is_no_manifest_is_refused(text, message):
    """Broken YAML and documents that are no objects are errors of the user."""
    with pytest.raises(VarkaError, match=message):
        manifests.load(text)


def test_webhooks_come_last_and_definitions_first():
    """Objects are applied in an order in which each can work."""
    kinds = ["ValidatingWebhookConfiguration", "Deployment", "Namespace", "Service", "CustomResourceDefinition"]
    ordered = manifests.ordered([{"kind": kind} for kind in kinds])
    assert [obj["kind"] for obj in ordered] == ["CustomResourceDefinition", "Namespace", "Deployment", "Service", "ValidatingWebhookConfiguration"]


async def test_apply_waits_for_definitions_and_reports_progress():
    """Custom resources follow when their definition is established; a second apply changes nothing."""
    api, told = FakeApi(), []
    task = asyncio.create_task(manifests.apply(api, [GATEWAY, DEFINITION], manager="m", progress=lambda obj, what: told.append((obj["kind"], what))))
    await settle()
    assert told == [("CustomResourceDefinition", "created")]
    api.change(CUSTOM_RESOURCE_DEFINITIONS, "gateways.networking.istio.io", status={"conditions": [{"type": "Established", "status": "True"}]})
    await asyncio.wait_for(task, 5)
    assert told[1:] == [("Gateway", "created")]
    assert api.one(Gvr("networking.istio.io", "v1", "gateways"), "g", "default") is not None
    await manifests.apply(api, [GATEWAY, DEFINITION], manager="m", progress=lambda obj, what: told.append((obj["kind"], what)))
    assert told[2:] == [("CustomResourceDefinition", "unchanged"), ("Gateway", "unchanged")]


async def test_wait_ready_ends_when_the_rollout_is_complete():
    """Waiting ends with the status that says that all replicas are new and available."""
    api = FakeApi()
    await api.create(DEPLOYMENTS, DEPLOYMENT)
    task = asyncio.create_task(manifests.wait_ready(api, [DEPLOYMENT], timeout=5))
    await settle()
    assert not task.done()
    api.change(DEPLOYMENTS, "web", "default", status={"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2})
    await asyncio.wait_for(task, 5)


async def test_wait_ready_names_what_is_late():
    """A rollout that takes too long is named, with the command that tells more."""
    api = FakeApi()
    await api.create(DEPLOYMENTS, DEPLOYMENT)
    with pytest.raises(VarkaError, match=r"deployment/default/web was not ready within .*kubectl describe deployment web -n default"):
        await manifests.wait_ready(api, [DEPLOYMENT], timeout=0.01)


async def test_delete_passes_over_what_is_gone():
    """Deleting deletes in the opposite order and does not mind absent objects or kinds."""
    api, told = FakeApi(), []
    await api.create(DEPLOYMENTS, DEPLOYMENT)
    await manifests.delete(
        api, [GATEWAY, DEPLOYMENT, {**DEPLOYMENT, "metadata": {"name": "absent"}}], progress=lambda obj, what: told.append((obj["kind"], what))
    )
    assert told == [("Deployment", "deleted")]


async def test_unknown_kinds_are_named():
    """A kind that no definition defines is refused in kubectl's words."""
    with pytest.raises(VarkaError, match=r'no matches for kind "Gateway" in version "networking\.istio\.io/v1"'):
        await Kinds(FakeApi()).find("networking.istio.io/v1", "Gateway")
