"""`Api` over HTTP: what every process outside the node uses to reach an API server."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
import aiohttp.abc
import msgspec

from varka.base.errors import VarkaError
from varka.client.api import ApiError, Gvr, Object, ObjectList, PatchType, WatchEvent
from varka.client.connection import Bearer, Connection, tls_context

Params = Mapping[str, str] | Sequence[tuple[str, str]]
"""Query parameters; the second form may repeat a name."""

WATCH_SECONDS = 300
"""How long one watch lasts before the server is asked to end it; the caller then watches on."""


class Unreachable(VarkaError):
    """The server did not answer: no connection, a connection that broke, or a timeout."""


def object_path(gvr: Gvr, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """The URL path of an object, or of its collection when `name` is empty."""
    parts = [gvr.prefix]
    if namespace:
        parts.append(f"namespaces/{namespace}")
    parts += [part for part in (gvr.resource, name, subresource) if part]
    return "/".join(parts)


class HttpApi:
    """A session with one server; use it as an async context manager. Implements `client.api.Api`."""

    def __init__(self, connection: Connection, *, timeout: float = 30.0, user_agent: str = "varka") -> None:
        self.connection = connection
        self._tls = tls_context(connection)
        self._bearer = Bearer(connection)
        self._timeout = timeout
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        """Any request, answered with the raw body; `body` is sent as it is when it is bytes, else as JSON."""
        headers = {**self._bearer.header(), "Accept": accept}
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        if data is not None:
            headers["Content-Type"] = content_type
        try:
            async with self.session.request(method, self._url(path), params=params, data=data, headers=headers, server_hostname=self._sni) as response:
                content = await response.read()
                if response.status >= 400:
                    raise failure(response.status, content, path)
                return content
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.unreachable(error) from error

    async def get(self, gvr: Gvr, name: str, namespace: str | None = None) -> Object:
        return await self._object("GET", object_path(gvr, namespace, name))

    async def list(self, gvr: Gvr, namespace: str | None = None, *, label_selector: str = "", field_selector: str = "") -> ObjectList:
        answer = await self._object("GET", object_path(gvr, namespace), params=_selectors(label_selector, field_selector))
        items: list[Object] = answer.get("items") or []
        version, kind = answer.get("apiVersion", ""), answer.get("kind", "").removesuffix("List")
        for item in items:
            item.setdefault("apiVersion", version)
            item.setdefault("kind", kind)
        return ObjectList(items, answer.get("metadata", {}).get("resourceVersion", ""))

    async def create(self, gvr: Gvr, obj: Object, namespace: str | None = None, *, name: str = "", subresource: str = "", dry_run: bool = False) -> Object:
        namespace = namespace or obj.get("metadata", {}).get("namespace")
        return await self._object("POST", object_path(gvr, namespace, name, subresource), body=obj, params={"dryRun": "All"} if dry_run else None)

    async def update(self, gvr: Gvr, obj: Object, *, subresource: str = "") -> Object:
        meta = obj["metadata"]
        return await self._object("PUT", object_path(gvr, meta.get("namespace"), meta["name"], subresource), body=obj)

    async def patch(
        self,
        gvr: Gvr,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
        manager: str = "varka",
        force: bool = False,
    ) -> Object:
        params = {"fieldManager": manager}
        if force:
            params["force"] = "true"
        return await self._object("PATCH", object_path(gvr, namespace, name, subresource), params=params, body=patch, content_type=type.value)

    async def delete(
        self, gvr: Gvr, name: str, namespace: str | None = None, *, propagation: str = "Background", grace_seconds: int | None = None, uid: str = ""
    ) -> Object:
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid:
            options["preconditions"] = {"uid": uid}
        return await self._object("DELETE", object_path(gvr, namespace, name), body=options)

    async def watch(
        self, gvr: Gvr, namespace: str | None = None, *, resource_version: str, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[WatchEvent]:
        params = _selectors(label_selector, field_selector)
        params |= {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": resource_version, "timeoutSeconds": str(WATCH_SECONDS)}
        async for line in self.lines(object_path(gvr, namespace), params=params, idle_timeout=WATCH_SECONDS + 30):
            event = msgspec.json.decode(line)
            if event["type"] == "ERROR":
                status = event["object"]
                raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", "the watch failed"), status.get("details"))
            yield WatchEvent(event["type"], event["object"])

    async def logs(self, namespace: str, pod: str, container: str = "", *, follow: bool = False, tail: int | None = None) -> AsyncIterator[bytes]:
        """The lines of a container's log, without their line ends."""
        params = {"follow": "true"} if follow else {}
        if container:
            params["container"] = container
        if tail is not None:
            params["tailLines"] = str(tail)
        async for line in self.lines(f"/api/v1/namespaces/{namespace}/pods/{pod}/log", params=params, idle_timeout=None):
            yield line

    async def lines(self, path: str, *, params: Mapping[str, str], idle_timeout: float | None) -> AsyncIterator[bytes]:
        """An answer that goes on, line by line; ends when the server ends it."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=idle_timeout)
        try:
            async with self.session.get(self._url(path), params=params, headers=self._bearer.header(), timeout=timeout, server_hostname=self._sni) as response:
                if response.status >= 400:
                    raise failure(response.status, await response.read(), path)
                rest = bytearray()
                async for chunk in response.content.iter_any():
                    rest += chunk
                    if b"\n" in chunk:
                        *whole, last = bytes(rest).split(b"\n")
                        rest = bytearray(last)
                        for line in whole:
                            yield line
                if rest:
                    yield bytes(rest)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.unreachable(error) from error

    async def websocket(self, path: str, params: Sequence[tuple[str, str]], protocol: str) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket under `protocol`; ApiError when the server refuses it."""
        try:
            return await self.session.ws_connect(
                self._url(path), params=params, protocols=[protocol], headers=self._bearer.header(), max_msg_size=0, server_hostname=self._sni
            )
        except aiohttp.WSServerHandshakeError as error:
            await self._explain(path, params, error.status)
            raise ApiError(error.status, "", error.message or "the server refused the upgrade to a WebSocket") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.unreachable(error) from error

    async def _explain(self, path: str, params: Params, status: int) -> None:
        """A refused WebSocket comes without the server's reason: ask the same once more without one, and raise what it says."""
        try:
            await self.request("GET", path, params=params)
        except ApiError as error:
            if error.code == status:
                raise
        except Unreachable:
            return

    def unreachable(self, error: BaseException) -> Unreachable:
        """The error for a connection that failed with `error`."""
        reason = "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return Unreachable(f"the API server at {self.connection.server} cannot be reached: {reason}", "is the cluster up, and does the kubeconfig name it")

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP session, opened by the first request."""
        if self._session is None:
            tls = self._tls if self._tls is not None else False
            path = self.connection.unix_socket
            if path is None:
                connector = aiohttp.TCPConnector(ssl=tls, limit=0)
            else:
                connector = aiohttp.TCPConnector(ssl=tls, limit=0, socket_factory=_unix_sockets(str(path)), resolver=_NoLookup())
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=self._timeout)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers={"User-Agent": self._user_agent}, auto_decompress=True)
        return self._session

    @property
    def _sni(self) -> str | None:
        return self.connection.server_name or None

    def _url(self, path: str) -> str:
        return self.connection.server.rstrip("/") + path

    async def _object(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None, content_type: str = "application/json"
    ) -> Object:
        content = await self.request(method, path, params=params, body=body, content_type=content_type)
        try:
            answer = msgspec.json.decode(content)
        except msgspec.DecodeError as error:
            raise Unreachable(f"the server at {self.connection.server} answered {path} with what is no JSON", "is this an API server") from error
        return answer if isinstance(answer, dict) else {}


class _UnixSocket(socket.socket):
    """A socket that connects to one path, whatever address it is given; aiohttp's own connector for such sockets has no TLS."""

    path = ""

    def connect(self, address: Any) -> None:
        super().connect(self.path)


def _unix_sockets(path: str) -> Callable[[Any], socket.socket]:
    def make(_: Any) -> socket.socket:
        made = _UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.path = path
        return made

    return make


class _NoLookup(aiohttp.abc.AbstractResolver):
    """The host of a UNIX socket's URL is a name for the certificate only."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[aiohttp.abc.ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


def failure(code: int, content: bytes, path: str) -> ApiError:
    """The error that an answer with status `code` stands for."""
    try:
        status = msgspec.json.decode(content)
    except msgspec.DecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return ApiError(code, status.get("reason", ""), status.get("message") or f"{path}: {code}", status.get("details"))
    return ApiError(code, "", content.decode(errors="replace").strip()[:500] or f"{path} was answered with status {code}")


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    return {name: value for name, value in (("labelSelector", label_selector), ("fieldSelector", field_selector)) if value}
