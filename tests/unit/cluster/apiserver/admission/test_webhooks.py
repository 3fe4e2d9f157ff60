"""Admission webhooks, asked over real TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.builders import webhookserver
from tests.builders.webhookserver import WebhookServer, patch
from tests.fakes.api import FakeApi

from varka.client.api import ApiError, Object
from varka.client.informers import Informer, key_of
from varka.cluster.apiserver import services
from varka.cluster.apiserver.admission import webhooks
from varka.cluster.apiserver.registry import Registry, ResourceInfo
from varka.cluster.apiserver.request import ADMIN, Attributes

DNS = "injector.istio-system.svc"
REGISTRY = Registry(
    [
        ResourceInfo(group="", version="v1", resource="pods", kind="Pod", subresources=("status",)),
        ResourceInfo(group="", version="v1", resource="namespaces", kind="Namespace", namespaced=False),
        ResourceInfo(group="networking.istio.io", version="v1", resource="gateways", kind="Gateway"),
        ResourceInfo(group="networking.istio.io", version="v1beta1", resource="gateways", kind="Gateway"),
    ]
)
POD: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "p"}}, "spec": {"containers": []}}
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


def asked(resource: str = "pods", **more: Any) -> Attributes:
    """A request to create something in the namespace `shop`."""
    fields = {"user": ADMIN, "verb": "create", "version": "v1", "resource": resource, "namespace": "shop", "name": "p", **more}
    return Attributes(**fields)


class World:
    """An admission over one server, an API with its Service, and configurations that tests set."""

    def __init__(self, server: WebhookServer) -> None:
        self.server = server
        self.api = FakeApi()
        none: Any = None
        self._informers = {gvr: Informer(none, gvr) for gvr in (webhooks.MUTATING, webhooks.VALIDATING)}
        self.admission = webhooks.WebhookAdmission(lambda: self.api, lambda: REGISTRY)
        source: Any = self
        self.admission.follow(source)

    def of(self, gvr: Any) -> Informer:
        """Stands in for the informers."""
        return self._informers[gvr]

    async def fill(self) -> None:
        """Make namespace, Service and endpoints."""
        await self.api.create(webhooks.NAMESPACES, {"metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}})
        service = {"metadata": {"name": "injector"}, "spec": {"ports": [{"name": "https", "port": 443, "targetPort": 15017}]}}
        await self.api.create(services.SERVICES, service, "istio-system")
        await self.endpoints(self.server.port)

    async def endpoints(self, port: int, *, ready: bool = True) -> None:
        """One endpoint of the Service, on this machine."""
        made = {
            "metadata": {"name": "injector-1", "labels": {services.SLICE_LABEL: "injector"}},
            "ports": [{"name": "https", "port": port}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}],
        }
        if self.api.one(services.ENDPOINT_SLICES, "injector-1", "istio-system"):
            self.api.remove(services.ENDPOINT_SLICES, "injector-1", "istio-system")
        await self.api.create(services.ENDPOINT_SLICES, made, "istio-system")

    def configure(self, *hooks: Object, mutating: bool = True, name: str = "config") -> None:
        """Set the webhooks of a configuration; what a hook leaves out is filled in."""
        client = {"service": {"name": "injector", "namespace": "istio-system", "path": "/inject", "port": 443}, "caBundle": self.server.ca_bundle}
        base = {"name": "hook.example", "clientConfig": client, "rules": [RULE], "sideEffects": "None", "timeoutSeconds": 5}
        config = {"metadata": {"name": name, "resourceVersion": str(id(hooks))}, "webhooks": [{**base, **hook} for hook in hooks]}
        informer = self.of(webhooks.MUTATING if mutating else webhooks.VALIDATING)
        informer.items[key_of(config)] = config
        informer._tell(None, config)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A running webhook server and everything around it."""
    async with webhookserver.serving(tmp_path, DNS) as server:
        made = World(server)
        await made.fill()
        yield made
        await made.admission.close()


async def refusal(world: World, attributes: Attributes | None = None) -> tuple[int, str, str]:
    """Code, reason and message of the refusal to create POD."""
    with pytest.raises(ApiError) as caught:
        await world.admission.mutate(attributes or asked(), "CREATE", POD, None)
    return caught.value.code, caught.value.reason, caught.value.message


async def test_patch_and_review(world: World) -> None:
    """A webhook changes the object by a JSON patch, and is told all there is to know."""
    world.server.answer = lambda request: {**patch({"op": "add", "path": "/spec/containers/-", "value": {"name": "istio-proxy"}}), "warnings": ["careful"]}
    world.configure({})
    changed, warnings = await world.admission.mutate(asked(query={"fieldManager": "kubectl"}), "CREATE", POD, None)
    assert changed == {**POD, "spec": {"containers": [{"name": "istio-proxy"}]}}
    assert POD["spec"] == {"containers": []}
    assert warnings == ["careful"]
    [request] = world.server.requests
    assert {key: value for key, value in request.items() if key != "uid"} == {
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "name": "p",
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "system:admin", "groups": ["system:masters", "system:authenticated"]},
        "object": POD,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl"},
        "_path": "/inject?timeout=5s",
        "_host": DNS,
    }


async def test_connection_is_kept(world: World) -> None:
    """One connection serves many reviews, and a new one takes over when the webhook's pod was replaced."""
    world.configure({})
    for _ in range(5):
        await world.admission.mutate(asked(), "CREATE", POD, None)
    assert len(world.server.connections) == 1
    next(iter(world.server.connections)).abort()
    await world.admission.mutate(asked(), "CREATE", POD, None)
    assert len(world.server.connections) == 2


@pytest.mark.parametrize(
    ("hook", "called"),
    [
        ({"namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}}}, True),
        ({"namespaceSelector": {"matchExpressions": [{"key": "istio-injection", "operator": "DoesNotExist"}]}}, False),
        ({"objectSelector": {"matchLabels": {"app": "p"}}}, True),
        ({"objectSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["p"]}]}}, False),
        ({"rules": [{**RULE, "operations": ["*"]}]}, True),
        ({"rules": [{**RULE, "operations": ["UPDATE"]}]}, False),
        ({"rules": [{**RULE, "resources": ["*"]}]}, True),
        ({"rules": [{**RULE, "resources": ["pods/*"]}]}, True),
        ({"rules": [{**RULE, "resources": ["pods/status"]}]}, False),
        ({"rules": [{**RULE, "scope": "Cluster"}]}, False),
        ({"rules": [{**RULE, "scope": "Namespaced"}]}, True),
        ({"rules": [{**RULE, "apiGroups": ["apps"]}]}, False),
    ],
)
async def test_selection(world: World, hook: Object, called: bool) -> None:
    """Rules and selectors say which webhooks are asked."""
    world.configure(hook)
    await world.admission.mutate(asked(), "CREATE", POD, None)
    assert bool(world.server.requests) is called


async def test_equivalent_version(world: World) -> None:
    """A webhook for v1beta1 sees a v1 object in v1beta1, and its change comes back in v1; with Exact it is not asked."""
    rule = {"operations": ["CREATE"], "apiGroups": ["networking.istio.io"], "apiVersions": ["v1beta1"], "resources": ["gateways"]}
    gateway = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "g", "namespace": "shop"}, "spec": {}}
    attributes = asked("gateways", group="networking.istio.io", name="g")
    world.server.answer = lambda request: patch({"op": "add", "path": "/spec/x", "value": 1})
    world.configure({"rules": [rule]})
    changed, _ = await world.admission.mutate(attributes, "CREATE", gateway, None)
    assert changed == {**gateway, "spec": {"x": 1}}
    [request] = world.server.requests
    assert request["object"]["apiVersion"] == "networking.istio.io/v1beta1"
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1beta1", "v1")
    world.configure({"rules": [rule], "matchPolicy": "Exact"})
    await world.admission.mutate(attributes, "CREATE", gateway, None)
    assert len(world.server.requests) == 1


async def test_denial(world: World) -> None:
    """A refusal carries the webhook's words, code and reason."""
    world.configure({})
    world.server.answer = lambda request: {"allowed": False, "status": {"message": "no root", "code": 403, "reason": "Forbidden"}}
    assert await refusal(world) == (403, "Forbidden", 'admission webhook "hook.example" denied the request: no root')
    world.server.answer = lambda request: {"allowed": False, "status": {"message": "configuration is invalid"}}
    assert await refusal(world) == (400, "", 'admission webhook "hook.example" denied the request: configuration is invalid')
    world.server.answer = lambda request: {"allowed": False}
    assert (await refusal(world))[2] == 'admission webhook "hook.example" denied the request without explanation'


async def test_failures(world: World) -> None:
    """A webhook that cannot be asked refuses, with the cause in Kubernetes' words."""
    world.configure({})
    prefix = 'Internal error occurred: failed calling webhook "hook.example": '
    post = f'failed to call webhook: Post "https://{DNS}:443/inject?timeout=5s": '
    await world.endpoints(1)
    assert await refusal(world) == (500, "InternalError", f"{prefix}{post}dial tcp 127.0.0.1:1: connect: connection refused")
    await world.endpoints(world.server.port, ready=False)
    assert (await refusal(world))[2] == f'{prefix}{post}no endpoints available for service "injector"'
    world.api.remove(services.SERVICES, "injector", "istio-system")
    assert (await refusal(world))[2] == f'{prefix}{post}service "injector" not found'


async def test_timeout(world: World) -> None:
    """A webhook that does not answer in time refuses."""
    world.server.delay = 3
    world.configure({"timeoutSeconds": 1})
    code, _, message = await refusal(world)
    assert code == 500
    assert message.endswith(f'failed to call webhook: Post "https://{DNS}:443/inject?timeout=1s": context deadline exceeded')


async def test_unknown_authority(world: World, tmp_path: Path) -> None:
    """A server whose certificate the caBundle does not vouch for is not believed."""
    (tmp_path / "other").mkdir()
    stranger = webhookserver.certificate(tmp_path / "other", DNS)
    service = {"name": "injector", "namespace": "istio-system", "path": "/inject", "port": 443}
    world.configure({"clientConfig": {"service": service, "caBundle": stranger}})
    assert (await refusal(world))[2].endswith("tls: failed to verify certificate: x509: certificate signed by unknown authority")


async def test_bad_answers(world: World) -> None:
    """An answer that is none, or to another question, counts as a failure."""
    world.configure({})
    world.server.answer = lambda request: {"allowed": True, "uid": "other"}
    assert "expected response.uid=" in (await refusal(world))[2]
    world.server.raw = web.Response(status=500, text="oops")
    assert (await refusal(world))[2].endswith('an error on the server ("oops") has prevented the request from succeeding (500)')
    world.server.raw = web.json_response({"kind": "Other"})
    assert (await refusal(world))[0] == 500


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/no/such", "value": 1},
        {"op": "add", "path": "no-pointer", "value": 1},
        {"op": "odd", "path": "/x"},
        {"op": "replace", "path": "", "value": 3},
        "text",
    ],
)
async def test_bad_patch(world: World, operation: Any) -> None:
    """A patch that does not fit the object refuses the request."""
    world.configure({})
    world.server.answer = lambda request: patch(operation)
    code, _, message = await refusal(world)
    assert code == 500
    assert message.startswith('Internal error occurred: failed calling webhook "hook.example": ')


async def test_failing_open(world: World) -> None:
    """With failurePolicy Ignore the object passes unchanged."""
    await world.endpoints(1)
    world.configure({"failurePolicy": "Ignore"})
    assert await world.admission.mutate(asked(), "CREATE", POD, None) == (POD, [])


async def test_dry_run(world: World) -> None:
    """A webhook with side effects is not asked about a dry run, one without is told."""
    world.configure({"sideEffects": "Unknown"})
    assert await refusal(world, asked(dry_run=True)) == (400, "BadRequest", 'admission webhook "hook.example" does not support dry run')
    world.configure({"sideEffects": "NoneOnDryRun"})
    await world.admission.mutate(asked(dry_run=True), "CREATE", POD, None)
    assert [request["dryRun"] for request in world.server.requests] == [True]


async def test_reinvocation(world: World) -> None:
    """A webhook that wants it is asked again when a later one changed the object."""

    order: list[int] = []

    def answer(request: Object) -> Object:
        count = len(request["object"]["metadata"]["labels"])
        order.append(count)
        return patch({"op": "add", "path": f"/metadata/labels/n{count}", "value": "x"}) if len(order) == 2 else {"allowed": True}

    world.server.answer = answer
    world.configure({"name": "a.example", "reinvocationPolicy": "IfNeeded"}, {"name": "b.example"})
    changed, _ = await world.admission.mutate(asked(), "CREATE", POD, None)
    assert changed is not None
    assert changed["metadata"]["labels"] == {"app": "p", "n1": "x"}
    assert order == [1, 1, 2]


async def test_validation(world: World) -> None:
    """Validating webhooks are all asked, their warnings collected, and the first refusal counts."""
    world.server.answer = lambda request: {"allowed": True, "warnings": ["w"]}
    world.configure({"name": "a.example"}, {"name": "b.example"}, mutating=False)
    assert await world.admission.validate(asked(), "CREATE", POD, None) == ["w", "w"]
    world.server.answer = lambda request: {"allowed": False, "status": {"message": "no"}}
    with pytest.raises(ApiError, match=r'admission webhook "a\.example" denied the request: no'):
        await world.admission.validate(asked(), "CREATE", POD, None)


@pytest.mark.parametrize(
    ("expression", "called"),
    [
        ("object.metadata.labels.app == 'p'", True),
        ("object.metadata.namespace == 'bank'", False),
        ("!('system:nodes' in request.userInfo.groups)", True),
        ("request.operation == 'CREATE' && request.resource.resource == 'pods'", True),
        ("oldObject == null", True),
        ("has(object.metadata.annotations)", False),
    ],
)
async def test_match_conditions(world: World, expression: str, called: bool) -> None:
    """CEL conditions over the request say whether a webhook is asked."""
    world.configure({"matchConditions": [{"name": "c", "expression": expression}]})
    await world.admission.mutate(asked(), "CREATE", POD, None)
    assert bool(world.server.requests) is called


async def test_match_condition_that_fails(world: World) -> None:
    """A condition that cannot be evaluated refuses or passes over, by failurePolicy; another that is false settles it."""
    broken = {"name": "c", "expression": "object.spec.nothing == 1"}
    world.configure({"matchConditions": [broken]})
    code, reason, message = await refusal(world)
    assert (code, reason) == (403, "Forbidden")
    assert message.startswith("pods \"p\" is forbidden: expression 'object.spec.nothing == 1' resulted in error: ")
    world.configure({"matchConditions": [broken, {"name": "d", "expression": "false"}]})
    await world.admission.mutate(asked(), "CREATE", POD, None)
    world.configure({"matchConditions": [broken], "failurePolicy": "Ignore"})
    await world.admission.mutate(asked(), "CREATE", POD, None)
    assert world.server.requests == []


async def test_namespace_selector_of_a_namespace(world: World) -> None:
    """A Namespace is selected by its own labels."""
    rule = {**RULE, "resources": ["namespaces"]}
    world.configure({"rules": [rule], "namespaceSelector": {"matchLabels": {"x": "y"}}})
    attributes = asked("namespaces", namespace="", name="n")
    for labels in ({}, {"x": "y"}):
        await world.admission.mutate(attributes, "CREATE", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": labels}}, None)
    assert len(world.server.requests) == 1
