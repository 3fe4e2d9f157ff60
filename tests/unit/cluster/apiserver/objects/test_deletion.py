"""Deleting objects through the in-process API."""

from __future__ import annotations

from typing import Any

import pytest

from varka.client.api import ApiError, Gvr
from varka.cluster.apiserver.objects.deletion import DeleteOptions
from varka.cluster.apiserver.server import ApiServer

CONFIG_MAPS = Gvr("", "v1", "configmaps")
PODS = Gvr("", "v1", "pods")
NAMESPACES = Gvr("", "v1", "namespaces")


async def exists(server: ApiServer, gvr: Gvr, name: str, namespace: str | None = "default") -> bool:
    """Whether an object is there."""
    try:
        await server.api.get(gvr, name, namespace)
    except ApiError as error:
        assert error.code == 404
        return False
    return True


def pod(**spec: Any) -> dict[str, Any]:
    """A pod with little in it."""
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "x"}], **spec}}


async def test_plain_object_goes_at_once(server: ApiServer) -> None:
    """What nothing holds is gone."""
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
    await server.api.delete(CONFIG_MAPS, "a", "default")
    assert not await exists(server, CONFIG_MAPS, "a")


async def test_finalizer_holds(server: ApiServer) -> None:
    """A finalizer keeps the object, marked, until it is removed."""
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a", "finalizers": ["x.io/y"]}}, "default")
    marked = await server.api.delete(CONFIG_MAPS, "a", "default")
    assert marked["metadata"]["deletionTimestamp"]
    await server.api.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, "default")
    assert not await exists(server, CONFIG_MAPS, "a")


async def test_no_new_finalizers_while_dying(server: ApiServer) -> None:
    """An object that is being deleted takes no further finalizer."""
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a", "finalizers": ["x.io/y"]}}, "default")
    await server.api.delete(CONFIG_MAPS, "a", "default")
    with pytest.raises(ApiError, match="no new finalizers can be added"):
        await server.api.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": ["x.io/y", "x.io/z"]}}, "default")


async def test_pod_without_node_goes_at_once(server: ApiServer) -> None:
    """A pod that runs nowhere needs no grace."""
    await server.api.create(PODS, pod(), "default")
    await server.api.delete(PODS, "p", "default")
    assert not await exists(server, PODS, "p")


async def test_pod_is_given_grace(server: ApiServer) -> None:
    """A running pod stays, marked, until it is deleted with grace 0."""
    await server.api.create(PODS, pod(nodeName="n", terminationGracePeriodSeconds=7), "default")
    marked = await server.api.delete(PODS, "p", "default")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    shorter = await server.api.delete(PODS, "p", "default", grace_seconds=2)
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 2
    await server.api.delete(PODS, "p", "default", grace_seconds=0)
    assert not await exists(server, PODS, "p")


async def test_status_of_a_dying_pod_can_be_written(server: ApiServer) -> None:
    """The runtime reports a pod's end while it is being deleted."""
    await server.api.create(PODS, pod(nodeName="n"), "default")
    await server.api.delete(PODS, "p", "default")
    obj = await server.api.patch(PODS, "p", {"status": {"phase": "Succeeded"}}, "default", subresource="status")
    assert obj["status"]["phase"] == "Succeeded"
    assert await exists(server, PODS, "p")


async def test_uid_precondition(server: ApiServer) -> None:
    """A deletion meant for another object of that name is a conflict."""
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
    with pytest.raises(ApiError, match="Precondition failed: UID in precondition: zz"):
        await server.api.delete(CONFIG_MAPS, "a", "default", uid="zz")


async def test_foreground_waits_for_the_collector(server: ApiServer) -> None:
    """Foreground deletion leaves a finalizer for the garbage collector."""
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
    obj = await server.api.delete(CONFIG_MAPS, "a", "default", propagation="Foreground")
    assert obj["metadata"]["finalizers"] == ["foregroundDeletion"]


async def test_namespace_waits_for_its_finalizer(server: ApiServer) -> None:
    """A namespace terminates until its content is gone and it is finalized."""
    await server.api.create(NAMESPACES, {"metadata": {"name": "x"}})
    obj = await server.api.delete(NAMESPACES, "x")
    assert obj["status"]["phase"] == "Terminating"
    await server.api.update(NAMESPACES, {**obj, "spec": {"finalizers": []}}, subresource="finalize")
    assert not await exists(server, NAMESPACES, "x", None)


async def test_protected_namespace(server: ApiServer) -> None:
    """The namespace default stays."""
    with pytest.raises(ApiError) as caught:
        await server.api.delete(NAMESPACES, "default")
    assert (caught.value.code, caught.value.message) == (403, 'namespaces "default" is forbidden: this namespace may not be deleted')


def test_options() -> None:
    """Options come from the body, then from the query."""
    options = DeleteOptions.parse({"propagationPolicy": "Orphan", "preconditions": {"uid": "u"}}, {"gracePeriodSeconds": "3", "dryRun": "All"})
    assert (options.propagation, options.uid, options.grace_seconds, options.dry_run) == ("Orphan", "u", 3, True)
    with pytest.raises(ApiError):
        DeleteOptions.parse({"propagationPolicy": "Foo"}, {})
