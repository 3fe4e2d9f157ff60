"""Creating and changing objects through the in-process API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from varka.client.api import ApiError, Gvr, PatchType
from varka.cluster.apiserver.request import Attributes, Extensions
from varka.cluster.apiserver.server import ApiServer

CONFIG_MAPS = Gvr("", "v1", "configmaps")
DEPLOYMENTS = Gvr("apps", "v1", "deployments")
PODS = Gvr("", "v1", "pods")
SERVICES = Gvr("", "v1", "services")
SECRETS = Gvr("", "v1", "secrets")
CRDS = Gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions")
THINGS = Gvr("example.com", "v1", "things")


def deployment(**spec: Any) -> dict[str, Any]:
    """A small Deployment."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}
    return {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}}


def crd(**version: Any) -> dict[str, Any]:
    """A CRD with two versions."""
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer", "default": 1}, "s": {"type": "string"}}}}}
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}, **version},
        {"name": "v1beta1", "served": True, "storage": False, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}},
    ]
    names = {"plural": "things", "kind": "Thing", "shortNames": ["th"]}
    return {"metadata": {"name": "things.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions}}


async def refused(call: Any) -> ApiError:
    """The error that a call ends with."""
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value


async def test_create_fills_metadata(server: ApiServer) -> None:
    """A new object has uid, time, version, generation and defaults."""
    obj = await server.api.create(DEPLOYMENTS, deployment(), "default")
    meta = obj["metadata"]
    assert meta["uid"] and meta["creationTimestamp"] and meta["resourceVersion"]
    assert (obj["apiVersion"], obj["kind"], meta["namespace"], meta["generation"]) == ("apps/v1", "Deployment", "default", 1)
    assert obj["spec"]["replicas"] == 1
    assert obj["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}


async def test_spec_and_status_are_apart(server: ApiServer) -> None:
    """A write of the object leaves the status alone, a write of the status leaves the rest, and only the first counts up generation."""
    await server.api.create(DEPLOYMENTS, deployment(), "default")
    status = await server.api.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 9}, "status": {"replicas": 2}}, "default", subresource="status")
    assert (status["spec"]["replicas"], status["status"]["replicas"], status["metadata"]["generation"]) == (1, 2, 1)
    spec = await server.api.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}, "status": {"replicas": 7}}, "default")
    assert (spec["spec"]["replicas"], spec["status"]["replicas"], spec["metadata"]["generation"]) == (3, 2, 2)


async def test_update_of_an_old_version_conflicts(server: ApiServer) -> None:
    """An update names the version it replaces."""
    first = await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, "default")
    await server.api.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, "default")
    error = await refused(server.api.update(CONFIG_MAPS, {**first, "data": {"x": "3"}}))
    assert (error.code, error.reason) == (409, "Conflict")
    assert "please apply your changes to the latest version and try again" in error.message


async def test_unchanged_update_keeps_the_version(server: ApiServer) -> None:
    """Writing what is there changes nothing, so no watcher is woken."""
    first = await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, "default")
    again = await server.api.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, "default")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_concurrent_patches_all_land(server: ApiServer) -> None:
    """Patches are repeated when another write came in between."""
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
    await asyncio.gather(*(server.api.patch(CONFIG_MAPS, "a", {"data": {f"k{number}": "v"}}, "default") for number in range(10)))
    assert len((await server.api.get(CONFIG_MAPS, "a", "default"))["data"]) == 10


async def test_dry_run_stores_nothing(server: ApiServer) -> None:
    """A dry run answers with the object and leaves no trace."""
    obj = await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default", dry_run=True)
    assert obj["metadata"]["uid"]
    assert (await refused(server.api.get(CONFIG_MAPS, "a", "default"))).code == 404


async def test_generate_name(server: ApiServer) -> None:
    """generateName gets five letters or digits."""
    obj = await server.api.create(CONFIG_MAPS, {"metadata": {"generateName": "a-"}}, "default")
    assert len(obj["metadata"]["name"]) == 7


async def test_namespace_must_exist(server: ApiServer) -> None:
    """Nothing is made in a namespace that is not there."""
    error = await refused(server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "nope"))
    assert (error.code, error.message) == (404, 'namespaces "nope" not found')


async def test_terminating_namespace(server: ApiServer) -> None:
    """Nothing is made in a namespace that is being deleted."""
    await server.api.create(Gvr("", "v1", "namespaces"), {"metadata": {"name": "x"}})
    await server.api.delete(Gvr("", "v1", "namespaces"), "x")
    error = await refused(server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "x"))
    assert (error.code, error.details["causes"][0]["reason"]) == (403, "NamespaceTerminating")


async def test_string_data(server: ApiServer) -> None:
    """A Secret's stringData becomes data."""
    obj = await server.api.create(SECRETS, {"metadata": {"name": "a"}, "stringData": {"k": "v"}}, "default")
    assert (obj["data"], obj["type"], "stringData" in obj) == ({"k": "dg=="}, "Opaque", False)


async def test_immutable_config_map(server: ApiServer) -> None:
    """An immutable ConfigMap refuses other data."""
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}, "immutable": True}, "default")
    error = await refused(server.api.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, "default"))
    assert error.message == 'ConfigMap "a" is invalid: data: Forbidden: field is immutable when `immutable` is set'


async def test_selector_is_immutable(server: ApiServer) -> None:
    """A Deployment's selector may not change."""
    await server.api.create(DEPLOYMENTS, deployment(), "default")
    error = await refused(server.api.patch(DEPLOYMENTS, "web", {"spec": {"selector": {"matchLabels": {"a": "c"}}}}, "default"))
    assert error.code == 422
    assert {cause["field"] for cause in error.details["causes"]} == {"spec.template.metadata.labels", "spec.selector"}


async def test_failed_create_gives_its_address_back(server: ApiServer) -> None:
    """An address that was reserved for a refused service is free again."""
    wanted = {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}
    assert (await refused(server.api.create(SERVICES, {"metadata": {"name": "Bad"}, "spec": wanted}, "default"))).code == 422
    obj = await server.api.create(SERVICES, {"metadata": {"name": "good"}, "spec": wanted}, "default")
    assert obj["spec"]["clusterIPs"] == ["10.96.0.10"]
    await server.api.delete(SERVICES, "good", "default")
    await server.api.create(SERVICES, {"metadata": {"name": "next"}, "spec": wanted}, "default")


async def test_a_refused_duplicate_takes_no_address_from_the_living(server: ApiServer) -> None:
    """Neither when it asks for the same address, nor when a webhook gives it the living one's uid: that is no webhook's business."""
    living = await server.api.create(SERVICES, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}, "default")
    address = living["spec"]["clusterIP"]

    class Impostor:
        async def mutate(self, attributes: Attributes, operation: str, obj: Any, old: Any) -> tuple[Any, list[str]]:
            return {**obj, "metadata": {**obj["metadata"], "uid": living["metadata"]["uid"], "creationTimestamp": "2001-01-01T00:00:00Z"}}, []

        async def validate(self, attributes: Attributes, operation: str, obj: Any, old: Any) -> list[str]:
            return []

    same = {"clusterIP": address, "ports": [{"port": 80}]}
    assert (await refused(server.api.create(SERVICES, {"metadata": {"name": "web"}, "spec": same}, "default"))).code == 422
    assert (await refused(server.api.create(SERVICES, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}, "default"))).code == 409
    extensions: Extensions = server.core.extensions
    extensions.admission = Impostor()
    assert (await refused(server.api.create(SERVICES, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}, "default"))).code == 409
    other = await server.api.create(SERVICES, {"metadata": {"name": "other"}, "spec": {"ports": [{"port": 80}]}}, "default")
    assert other["metadata"]["uid"] != living["metadata"]["uid"] and not other["metadata"]["creationTimestamp"].startswith("2001")
    assert (await refused(server.api.create(SERVICES, {"metadata": {"name": "thief"}, "spec": same}, "default"))).code == 422


async def test_a_stored_service_keeps_its_address_when_its_caller_goes_away(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails after the write is no failure of the write."""
    from varka.cluster.apiserver.objects import intake

    wanted = {"clusterIP": "10.96.0.77", "ports": [{"port": 80}]}
    monkeypatch.setattr(intake, "to_version", lambda obj, info: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await server.api.create(SERVICES, {"metadata": {"name": "web"}, "spec": wanted}, "default")
    monkeypatch.undo()
    assert (await server.api.get(SERVICES, "web", "default"))["spec"]["clusterIP"] == "10.96.0.77"
    assert (await refused(server.api.create(SERVICES, {"metadata": {"name": "thief"}, "spec": wanted}, "default"))).code == 422


async def test_scale(server: ApiServer) -> None:
    """scale shows and sets the replicas."""
    await server.api.create(DEPLOYMENTS, deployment(), "default")
    scale = await server.api.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 4}}, "default", subresource="scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == ("Scale", {"replicas": 4}, {"replicas": 0, "selector": "a=b"})
    assert (await server.api.get(DEPLOYMENTS, "web", "default"))["spec"]["replicas"] == 4


async def test_binding(server: ApiServer) -> None:
    """A binding gives a pod its node, once."""
    await server.api.create(PODS, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "x"}]}}, "default")
    target = {"target": {"kind": "Node", "name": "n1"}}
    await server.api.create(PODS, target, "default", name="p", subresource="binding")
    pod = await server.api.get(PODS, "p", "default")
    assert pod["spec"]["nodeName"] == "n1"
    assert pod["status"]["conditions"][0]["type"] == "PodScheduled"
    assert (await refused(server.api.create(PODS, target, "default", name="p", subresource="binding"))).code == 409


async def test_custom_resource(server: ApiServer) -> None:
    """A CRD is served at once, in all versions; objects are defaulted and pruned."""
    definition = await server.api.create(CRDS, crd())
    assert {item["type"]: item["status"] for item in definition["status"]["conditions"]} == {"Established": "True", "NamesAccepted": "True"}
    obj = await server.api.create(THINGS, {"metadata": {"name": "t"}, "spec": {"s": "x", "zz": 1}}, "default")
    assert (obj["spec"], obj["apiVersion"]) == ({"n": 1, "s": "x"}, "example.com/v1")
    other = await server.api.get(THINGS._replace(version="v1beta1"), "t", "default")
    assert (other["apiVersion"], other["spec"]) == ("example.com/v1beta1", obj["spec"])
    changed = await server.api.patch(THINGS._replace(version="v1beta1"), "t", {"spec": {"n": 2}}, "default")
    assert (changed["apiVersion"], changed["metadata"]["generation"]) == ("example.com/v1beta1", 2)
    assert (await server.api.get(THINGS, "t", "default"))["spec"]["n"] == 2


async def test_custom_resource_is_checked(server: ApiServer) -> None:
    """A custom object of the wrong type is refused with the field's path."""
    await server.api.create(CRDS, crd())
    error = await refused(server.api.create(THINGS, {"metadata": {"name": "t"}, "spec": {"n": "x"}}, "default"))
    assert (error.code, error.details["causes"][0]["field"]) == (422, "spec.n")


async def test_deleted_crd_takes_its_objects(server: ApiServer) -> None:
    """With a CRD go its objects, and then nothing is served."""
    await server.api.create(CRDS, crd())
    await server.api.create(THINGS, {"metadata": {"name": "t"}}, "default")
    await server.api.delete(CRDS, "things.example.com")
    async with asyncio.timeout(5):
        log = server.store.log("customresourcedefinitions.apiextensions.k8s.io")
        while server.store.get("customresourcedefinitions.apiextensions.k8s.io", "", "things.example.com"):
            await log.wait(log.last, 1)
    assert server.store.list("things.example.com") == []
    assert (await refused(server.api.list(THINGS))).code == 404


async def test_admission_changes_and_refuses(server: ApiServer) -> None:
    """Admission may change an object before it is checked and refuse it afterwards."""

    class Labeller:
        async def mutate(self, attributes: Attributes, operation: str, obj: Any, old: Any) -> tuple[Any, list[str]]:
            if obj is None:
                return None, []
            return {**obj, "metadata": {**obj["metadata"], "labels": {"seen": operation}}}, []

        async def validate(self, attributes: Attributes, operation: str, obj: Any, old: Any) -> list[str]:
            if obj and obj.get("data"):
                raise ApiError(403, "Forbidden", "no data")
            return []

    extensions: Extensions = server.core.extensions
    extensions.admission = Labeller()
    obj = await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
    assert obj["metadata"]["labels"] == {"seen": "CREATE"}
    assert (await refused(server.api.create(CONFIG_MAPS, {"metadata": {"name": "b"}, "data": {"x": "1"}}, "default"))).message == "no data"


async def test_apply_creates_and_changes(server: ApiServer) -> None:
    """A server-side apply makes what is not there, and repeats itself without a change."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"x": "1"}}
    first = await server.api.patch(CONFIG_MAPS, "a", config, "default", type=PatchType.APPLY, manager="me")
    again = await server.api.patch(CONFIG_MAPS, "a", config, "default", type=PatchType.APPLY, manager="me")
    assert first == again
    error = await refused(server.api.patch(CONFIG_MAPS, "a", {**config, "data": {"x": "2"}}, "default", type=PatchType.APPLY, manager="you"))
    assert (error.code, error.reason) == (409, "Conflict")
    forced = await server.api.patch(CONFIG_MAPS, "a", {**config, "data": {"x": "2"}}, "default", type=PatchType.APPLY, manager="you", force=True)
    assert forced["data"] == {"x": "2"}


async def test_pod_needs_its_service_account(server: ApiServer) -> None:
    """A pod that names a service account that is not there is refused."""
    server.core.writes.preparation.needs_account = True
    pod = {"metadata": {"name": "p"}, "spec": {"serviceAccountName": "sa", "containers": [{"name": "a", "image": "x"}]}}
    error = await refused(server.api.create(PODS, pod, "default"))
    assert error.message == 'pods "p" is forbidden: error looking up service account default/sa: serviceaccount "sa" not found'
    await server.api.create(Gvr("", "v1", "serviceaccounts"), {"metadata": {"name": "sa"}}, "default")
    obj = await server.api.create(PODS, pod, "default")
    assert obj["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]["path"] == "token"


async def test_events_have_two_forms(server: ApiServer) -> None:
    """An event of events.k8s.io is a core event, and the other way round."""
    new, core = Gvr("events.k8s.io", "v1", "events"), Gvr("", "v1", "events")
    event = {"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p"}, "note": "hi", "reportingController": "c", "type": "Normal"}
    made = await server.api.create(new, event, "default")
    assert (made["apiVersion"], made["note"]) == ("events.k8s.io/v1", "hi")
    shown = await server.api.get(core, "e", "default")
    assert (shown["apiVersion"], shown["message"], shown["involvedObject"]["name"]) == ("v1", "hi", "p")
    changed = await server.api.patch(new, "e", {"note": "ho"}, "default")
    assert changed["note"] == "ho"
    found = await server.api.list(core, "default", field_selector="involvedObject.name=p,type=Normal")
    assert [item["message"] for item in found.items] == ["ho"]


async def test_stateful_set_fields(server: ApiServer) -> None:
    """Of a StatefulSet the service's name may not change."""
    sets = Gvr("apps", "v1", "statefulsets")
    await server.api.create(sets, deployment(serviceName="s"), "default")
    error = await refused(server.api.patch(sets, "web", {"spec": {"serviceName": "t"}}, "default"))
    assert error.message.startswith('StatefulSet.apps "web" is invalid: spec: Forbidden: updates to statefulset spec for fields other than')


async def test_full_disk_is_an_api_error(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that the disk refuses is answered with 500, nothing is stored, and later writes work."""
    import sqlite3

    database = server.store._database
    monkeypatch.setattr(database, "_write", lambda batch: sqlite3.OperationalError("database or disk is full"))
    error = await refused(server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default"))
    assert (error.code, error.reason) == (500, "InternalError")
    assert "disk is full" in error.message
    monkeypatch.undo()
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
