from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from tests.unit.client.pki import authority, leaf

from varka.client.api import ApiError, Gvr, PatchType
from varka.client.connection import Connection
from varka.client.http import HttpApi, Unreachable, object_path
from varka.client.resources import DEPLOYMENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler, *, unix: Path | None = None, tls: ssl.SSLContext | None = None):
    """The URL of a server that answers everything with `handler`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site: web.BaseSite
    if unix is not None:
        site = web.UnixSite(runner, str(unix), ssl_context=tls)
        await site.start()
        yield "https://kubernetes.default" if tls else "http://kubernetes.default"
    else:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}"
    await runner.cleanup()


class Recorded:
    """Answers with `answer` and keeps what was asked."""

    def __init__(self, answer: object = None, status: int = 200) -> None:
        self.answer = answer if answer is not None else {"metadata": {"name": "x"}}
        self.status = status
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str], bytes]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path, dict(request.query), dict(request.headers), await request.read()))
        return web.json_response(self.answer, status=self.status)


def test_paths_follow_group_namespace_name_and_subresource():
    """An object's path is made of group and version, namespace, resource, name, subresource."""
    assert object_path(PODS, "default", "a", "status") == "/api/v1/namespaces/default/pods/a/status"
    assert object_path(DEPLOYMENTS, None) == "/apis/apps/v1/deployments"
    assert object_path(NAMESPACES, None, "x") == "/api/v1/namespaces/x"


async def test_writes_are_sent_as_kubernetes_expects():
    """Each verb uses its method, path, parameters and content type."""
    handler = Recorded()
    async with served(handler) as url, HttpApi(Connection(server=url)) as api:
        await api.create(PODS, {"metadata": {"name": "a"}}, "default", dry_run=True)
        await api.create(SERVICE_ACCOUNTS, {"spec": {}}, "default", name="sa", subresource="token")
        await api.update(PODS, {"metadata": {"name": "a", "namespace": "default"}}, subresource="status")
        await api.patch(PODS, "a", {"x": 1}, "default", type=PatchType.APPLY, manager="me", force=True)
        await api.delete(PODS, "a", "default", propagation="Foreground", grace_seconds=0, uid="u")
    asked = [(method, path, query) for method, path, query, _, _ in handler.asked]
    assert asked == [
        ("POST", "/api/v1/namespaces/default/pods", {"dryRun": "All"}),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/sa/token", {}),
        ("PUT", "/api/v1/namespaces/default/pods/a/status", {}),
        ("PATCH", "/api/v1/namespaces/default/pods/a", {"fieldManager": "me", "force": "true"}),
        ("DELETE", "/api/v1/namespaces/default/pods/a", {}),
    ]
    assert handler.asked[3][3]["Content-Type"] == "application/apply-patch+yaml"
    assert b'"propagationPolicy":"Foreground"' in handler.asked[4][4]
    assert b'"preconditions":{"uid":"u"}' in handler.asked[4][4]


async def test_lists_give_items_their_kind():
    """A list's items carry kind and apiVersion, which the server leaves out."""
    handler = Recorded({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}}]})
    async with served(handler) as url, HttpApi(Connection(server=url)) as api:
        answer = await api.list(PODS, "default", label_selector="app=x", field_selector="spec.nodeName=n")
    assert answer.items == [{"metadata": {"name": "a"}, "kind": "Pod", "apiVersion": "v1"}]
    assert answer.resource_version == "7"
    assert handler.asked[0][2] == {"labelSelector": "app=x", "fieldSelector": "spec.nodeName=n"}


async def test_a_status_becomes_an_api_error():
    """A Status of kind Failure is raised with code, reason, message and details."""
    status = {"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": "changed", "details": {"name": "a"}}
    async with served(Recorded(status, 409)) as url, HttpApi(Connection(server=url)) as api:
        with pytest.raises(ApiError) as caught:
            await api.get(PODS, "a", "default")
    assert (caught.value.code, caught.value.reason, caught.value.message, caught.value.details) == (409, "Conflict", "changed", {"name": "a"})


async def test_nobody_at_the_address_is_unreachable():
    """A refused connection says which server cannot be reached."""
    async with HttpApi(Connection(server="http://127.0.0.1:1")) as api:
        with pytest.raises(Unreachable, match=r"the API server at http://127\.0\.0\.1:1 cannot be reached"):
            await api.get(PODS, "a", "default")


async def test_watch_yields_events_across_chunks():
    """Events are taken from lines however they are cut into chunks."""

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.query["watch"] == "true" and request.query["resourceVersion"] == "5" and request.query["allowWatchBookmarks"] == "true"
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in (b'{"type":"ADDED","object":{"a"', b':1}}\n{"type":"BOOKMARK","object":{}}\n{"type":"DEL', b'ETED","object":{"b":2}}\n'):
            await response.write(chunk)
            await asyncio.sleep(0)
        return response

    async with served(handler) as url, HttpApi(Connection(server=url)) as api:
        events = [event async for event in api.watch(PODS, resource_version="5")]
    assert events == [("ADDED", {"a": 1}), ("BOOKMARK", {}), ("DELETED", {"b": 2})]


async def test_an_error_event_is_raised():
    """An ERROR event of a watch is the Status that it carries."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n')

    async with served(handler) as url, HttpApi(Connection(server=url)) as api:
        with pytest.raises(ApiError) as caught:
            _ = [event async for event in api.watch(PODS, resource_version="1")]
    assert caught.value.code == 410


async def test_the_token_file_is_read_again_when_it_changes(tmp_path):
    """A rotated token is used by the next request."""
    file = tmp_path / "token"
    file.write_text("one\n")
    handler = Recorded()
    async with served(handler) as url, HttpApi(Connection(server=url, token_file=file)) as api:
        await api.get(PODS, "a", "default")
        other = tmp_path / "other"
        other.write_text("two")
        other.replace(file)
        await api.get(PODS, "a", "default")
        file.unlink()
        await api.get(PODS, "a", "default")
    assert [headers["Authorization"] for *_, headers, _ in handler.asked] == ["Bearer one", "Bearer two", "Bearer two"]


async def test_tls_with_a_client_certificate_over_a_unix_socket(tmp_path):
    """The server's certificate is checked against the CA and the client presents its own, through a UNIX socket as well."""
    ca = authority()
    certificate, key = leaf(ca, "kubernetes.default")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=ca.certificate.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    (tmp_path / "server.pem").write_bytes(certificate + key)
    context.load_cert_chain(tmp_path / "server.pem")
    seen = []

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        seen.append(request.transport.get_extra_info("peercert")["subject"])
        return web.json_response({"metadata": {}})

    mine, my_key = leaf(ca, "admin")
    socket = tmp_path / "api.sock"
    async with served(handler, unix=socket, tls=context) as url:
        async with HttpApi(Connection(server=url, ca=ca.certificate, certificate=mine, key=my_key, unix_socket=socket)) as api:
            await api.get(PODS, "a", "default")
        other = authority()
        async with HttpApi(Connection(server=url, ca=other.certificate, certificate=mine, key=my_key, unix_socket=socket)) as api:
            with pytest.raises(Unreachable, match="certificate verify failed"):
                await api.get(PODS, "a", "default")
    assert seen == [((("commonName", "admin"),),)]


async def test_raw_requests_reach_any_path():
    """`request` answers with the body of paths that are no objects."""
    async with served(Recorded({"gitVersion": "v1"})) as url, HttpApi(Connection(server=url)) as api:
        assert await api.request("GET", "/version") == b'{"gitVersion": "v1"}'


async def test_logs_come_line_by_line():
    """A log is given as lines without their ends, the last one too when it has none."""

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.path == "/api/v1/namespaces/default/pods/a/log" and request.query == {"container": "c", "tailLines": "3"}
        return web.Response(body=b"one\ntwo\nthree")

    async with served(handler) as url, HttpApi(Connection(server=url)) as api:
        assert [line async for line in api.logs("default", "a", "c", tail=3)] == [b"one", b"two", b"three"]


def test_the_core_group_has_a_path_of_its_own():
    """Resources of the core group are under /api."""
    assert Gvr("", "v1", "pods").prefix == "/api/v1"
