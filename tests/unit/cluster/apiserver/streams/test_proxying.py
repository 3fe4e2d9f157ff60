"""HTTP through the API server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import test_utils, web
from tests.builders import streamserver
from tests.fakes.api import FakeApi
from tests.fakes.podruntime import FakePodRuntime
from yarl import URL

from varka.client.api import ApiError
from varka.cluster.apiserver import services
from varka.cluster.apiserver.streams import proxying


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that tells what it was asked."""

    async def answer(request: web.Request) -> web.Response:
        text = f"{request.method} {request.path_qs} {request.headers.get('X-A')} {request.headers.get('Authorization')} {await request.text()}"
        return web.Response(text=text, status=418, headers={"X-B": "2"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with test_utils.TestServer(app) as server:
        assert server.port is not None
        yield server.port


async def test_pod(port: int) -> None:
    """Method, path, query, body and headers go through, credentials do not; the answer comes back as it is."""
    async with streamserver.serving(FakePodRuntime(), streamserver.pod()) as client:
        path = f"/api/v1/namespaces/shop/pods/web-1:{port}/proxy/a/proxy/b?c=d"
        answer = await client.post(path, data="body", headers={"X-A": "1", "Authorization": "Bearer secret"})
        assert (answer.status, answer.headers["X-B"], await answer.text()) == (418, "2", "POST /a/proxy/b?c=d 1 None body")


async def test_service(port: int) -> None:
    """A service's proxy leads to a ready endpoint, by port name or number."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]}}
    api = FakeApi()
    await api.create(services.SERVICES, service, "shop")
    slice_ = {
        "metadata": {"name": "web-1", "labels": {services.SLICE_LABEL: "web"}},
        "ports": [{"name": "http", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    }
    await api.create(services.ENDPOINT_SLICES, slice_, "shop")
    async with streamserver.serving(FakePodRuntime(), service, "services", api) as client:
        for name in ("web", "web:80", "web:http", "http:web:http"):
            answer = await client.get(f"/api/v1/namespaces/shop/services/{name}/proxy/")
            assert await answer.text() == "GET / None None "
        answer = await client.get("/api/v1/namespaces/shop/services/web:81/proxy/")
        assert (answer.status, (await answer.json())["message"]) == (503, 'no service port "81" found for service "web"')


async def test_nobody_listens() -> None:
    """A port on which nobody listens is a 503."""
    async with streamserver.serving(FakePodRuntime(), streamserver.pod()) as client:
        answer = await client.get("/api/v1/namespaces/shop/pods/web-1:1/proxy/")
        assert answer.status == 503
        assert (await answer.json())["message"].startswith("error trying to reach service: ")


def test_names() -> None:
    """Scheme and port around a name."""
    assert proxying.parse_name("web") == ("http", "web", "")
    assert proxying.parse_name("web:80") == ("http", "web", "80")
    assert proxying.parse_name("https:web:8443") == ("https", "web", "8443")
    with pytest.raises(ApiError):
        proxying.parse_name("ftp:web:21")


async def test_a_query_arrives_as_it_was_encoded(port: int) -> None:
    """Signs that mean something in a query stay encoded: `+`, `&`, `=`, `#` and blanks inside a value."""
    async with streamserver.serving(FakePodRuntime(), streamserver.pod()) as client:
        path = f"/api/v1/namespaces/shop/pods/web-1:{port}/proxy/query"
        answer = await client.get(URL(f"{path}?q=a%2Bb%26c%3D%22d%22%20%23e", encoded=True))
        assert await answer.text() == "GET /query?q=a%2Bb%26c%3D%22d%22%20%23e None None "
