"""A server with one pod and the streaming handlers only, for tests of `apiserver.streams`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from aiohttp import test_utils, web
from tests.fakes.api import FakeApi

from varka.client.api import ApiError, Object
from varka.cluster.apiserver import streams
from varka.cluster.apiserver.request import ADMIN, Attributes


def pod(**metadata: Any) -> Object:
    """A running pod with containers `app` and `istio-proxy`, and init container `istio-init`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1", **metadata},
        "spec": {"nodeName": "varka", "containers": [{"name": "app"}, {"name": "istio-proxy"}], "initContainers": [{"name": "istio-init"}]},
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "containerStatuses": [{"name": name, "state": {"running": {}}} for name in ("app", "istio-proxy")],
            "initContainerStatuses": [{"name": "istio-init", "state": {"terminated": {"exitCode": 0}}}],
        },
    }


@asynccontextmanager
async def serving(runtime: Any, parent: Object, resource: str = "pods", api: FakeApi | None = None) -> AsyncIterator[test_utils.TestClient[Any, Any]]:
    """A client of a server in which `parent` is the only object."""
    context: Any = SimpleNamespace(runtime=runtime, api=api or FakeApi())

    async def answer(request: web.Request) -> web.StreamResponse:
        name, _, subresource = request.match_info["rest"].partition("/")
        subresource = subresource.partition("/")[0]
        if not subresource:
            return web.json_response(parent)
        attributes = Attributes(user=ADMIN, verb="get", resource=resource, subresource=subresource, namespace="shop", name=name, path=request.path)
        try:
            return await streams.HANDLERS["", resource, subresource](context, request, attributes, parent)
        except ApiError as error:
            return web.json_response(error.status, status=error.code)

    async def discovery(request: web.Request) -> web.Response:
        verbs = ["create", "delete", "get", "list", "watch"]
        listed = [
            {"name": name, "singularName": name[:-1], "kind": kind, "namespaced": True, "verbs": verbs}
            for name, kind in (("pods", "Pod"), ("services", "Service"))
        ]
        answers: dict[str, Object] = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": listed},
        }
        return web.json_response(answers[request.path])

    app = web.Application()
    for path in ("/api", "/apis", "/api/v1"):
        app.router.add_get(path, discovery)
    app.router.add_route("*", f"/api/v1/namespaces/shop/{resource}/{{rest:.*}}", answer)
    async with test_utils.TestClient(test_utils.TestServer(app, handler_cancellation=False)) as client:
        yield client
