"""The API server over HTTP on loopback: forms of answers and refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from varka.cluster.apiserver.server import ServerSettings, running

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a running server."""
    settings = ServerSettings(store=tmp_path / "store.db", tcp=("127.0.0.1", 0), needs_account=False)
    async with running(settings) as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        yield session


async def status(response: aiohttp.ClientResponse) -> tuple[int, str, str]:
    """Code, reason and message of a refusal."""
    body = await response.json()
    assert (body["kind"], body["status"], body["code"]) == ("Status", "Failure", response.status)
    return response.status, body["reason"], body["message"]


@pytest.mark.parametrize(
    ("body", "headers", "code", "reason"),
    [
        (b"{bad", JSON, 400, "BadRequest"),
        (b"[]", JSON, 400, "BadRequest"),
        (b"\xff\xfe", JSON, 400, "BadRequest"),
        (b"x" * (3 * 1024 * 1024 + 1), JSON, 413, "RequestEntityTooLarge"),
        (b"{}", {"Content-Type": "text/foo"}, 415, "UnsupportedMediaType"),
        (b'{"kind":"Pod","metadata":{"name":"a"}}', JSON, 400, "BadRequest"),
        (b'{"apiVersion":"v2","metadata":{"name":"a"}}', JSON, 400, "BadRequest"),
        (b'{"metadata":{"name":"a","namespace":"other"}}', JSON, 400, "BadRequest"),
        (b'{"metadata":{"name":"A_b"}}', JSON, 422, "Invalid"),
        (b'{"metadata":{"name":"a"},"data":{"x":1}}', JSON, 400, "BadRequest"),
        (b'{"metadata":{"name":"a","labels":{"-x":"y"}}}', JSON, 422, "Invalid"),
        (b'{"metadata":5}', JSON, 400, "BadRequest"),
        (b"{" + b'"a":{' * 3000 + b"}" * 3001, JSON, 400, "BadRequest"),
    ],
)
async def test_bad_bodies(http: aiohttp.ClientSession, body: bytes, headers: dict[str, str], code: int, reason: str) -> None:
    """Every bad body is refused with a Status, and nothing is stored."""
    async with http.post(CONFIG_MAPS, data=body, headers=headers) as response:
        assert (await status(response))[:2] == (code, reason)
    async with http.get(CONFIG_MAPS) as response:
        assert (await response.json())["items"] == []


async def test_strict_and_warn(http: aiohttp.ClientSession) -> None:
    """Unknown fields are refused under Strict, and warned of otherwise."""
    body = {"metadata": {"name": "a"}, "dat": {}}
    async with http.post(CONFIG_MAPS + "?fieldValidation=Strict", json=body) as response:
        assert (await status(response))[2].endswith('strict decoding error: unknown field "dat"')
    async with http.post(CONFIG_MAPS, json=body) as response:
        assert response.status == 201
        assert response.headers["Warning"] == '299 - "unknown field \\"dat\\""'


async def test_yaml_body_and_answer(http: aiohttp.ClientSession) -> None:
    """YAML goes in and comes out."""
    headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}
    async with http.post(CONFIG_MAPS, data=b"metadata:\n  name: a\ndata: {x: 'y'}\n", headers=headers) as response:
        assert response.content_type == "application/yaml"
        assert "name: a" in await response.text()


async def test_watch_stream(http: aiohttp.ClientSession) -> None:
    """A watch is a stream of lines; with sendInitialEvents it has the end mark."""
    await http.post(CONFIG_MAPS, json={"metadata": {"name": "a"}})
    query = "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=5"
    async with http.get(CONFIG_MAPS + query) as response:
        first = json.loads(await response.content.readline())
        second = json.loads(await response.content.readline())
        await http.post(CONFIG_MAPS, json={"metadata": {"name": "b"}})
        third = json.loads(await response.content.readline())
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert (third["type"], third["object"]["metadata"]["name"]) == ("ADDED", "b")


async def test_watch_of_the_future(http: aiohttp.ClientSession) -> None:
    """A watch from a version that is not yet there is refused before the stream begins."""
    async with http.get("/api/v1/pods?watch=true&resourceVersion=9999") as response:
        assert (await status(response))[:2] == (504, "Timeout")


async def test_watch_from_before_a_restart(tmp_path: Path) -> None:
    """After a restart a watch from an earlier version gets an ERROR event with code 410."""
    settings = ServerSettings(store=tmp_path / "again.db", tcp=("127.0.0.1", 0), needs_account=False)
    async with running(settings):
        pass
    async with running(settings) as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
        async with session.get("/api/v1/namespaces?watch=true&resourceVersion=2") as response:
            event = json.loads(await response.content.readline())
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_metadata_only(http: aiohttp.ClientSession) -> None:
    """PartialObjectMetadata has no data."""
    await http.post(CONFIG_MAPS, json={"metadata": {"name": "a"}, "data": {"x": "y"}})
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
    async with http.get(CONFIG_MAPS, headers=accept) as response:
        body = await response.json()
    assert (body["kind"], set(body["items"][0])) == ("PartialObjectMetadataList", {"kind", "apiVersion", "metadata"})


async def test_discovery_forms(http: aiohttp.ClientSession) -> None:
    """Discovery answers plain and aggregated, with tags."""
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}
    async with http.get("/apis", headers=accept) as response:
        assert "as=APIGroupDiscoveryList" in response.headers["Content-Type"]
        groups = (await response.json(content_type=None))["items"]
        tag = response.headers["ETag"]
    assert "apps" in [item["metadata"]["name"] for item in groups]
    async with http.get("/apis", headers={**accept, "If-None-Match": tag}) as response:
        assert response.status == 304
    async with http.get("/apis/apps/v1") as response:
        names = [item["name"] for item in (await response.json())["resources"]]
    assert {"deployments", "deployments/scale", "deployments/status"} <= set(names)
    async with http.get("/apis/nope/v1") as response:
        assert (await status(response))[0] == 404


async def test_openapi_documents(http: aiohttp.ClientSession) -> None:
    """Every document of the index is there and complete in itself."""
    async with http.get("/openapi/v3") as response:
        paths = (await response.json())["paths"]
    for path in ("api/v1", "apis/apps/v1", "apis/apiextensions.k8s.io/v1"):
        async with http.get(paths[path]["serverRelativeURL"]) as response:
            document = await response.json()
        text = json.dumps(document)
        schemas = document["components"]["schemas"]
        references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
        assert references <= set(schemas)


async def test_health_and_version(http: aiohttp.ClientSession) -> None:
    """The server says that it lives, and which Kubernetes it follows."""
    for path in ("/healthz", "/livez", "/readyz"):
        async with http.get(path) as response:
            assert await response.text() == "ok"
    async with http.get("/version") as response:
        assert (await response.json())["gitVersion"].startswith("v1.")


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/foo", 404), ("GET", "/api/v1/foos", 404), ("POST", "/api/v1/nodes/x", 405), ("PUT", "/version", 405)]
)
async def test_wrong_paths(http: aiohttp.ClientSession, method: str, path: str, code: int) -> None:
    """What is not served is said to be so."""
    async with http.request(method, path, json={}) as response:
        assert (await status(response))[0] == code


async def test_collections_are_deleted(http: aiohttp.ClientSession) -> None:
    """DELETE of a list deletes what the selector means."""
    for name, labels in (("a", {"x": "y"}), ("b", {})):
        await http.post(CONFIG_MAPS, json={"metadata": {"name": name, "labels": labels}})
    async with http.delete(CONFIG_MAPS + "?labelSelector=x=y") as response:
        gone: Any = await response.json()
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a"]
    async with http.get(CONFIG_MAPS) as response:
        assert [item["metadata"]["name"] for item in (await response.json())["items"]] == ["b"]
