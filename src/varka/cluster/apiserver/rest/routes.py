"""From an HTTP request to an answer: who asks, what for, whether they may, and in which form the answer goes out."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.core import Core
from varka.cluster.apiserver.objects import intake
from varka.cluster.apiserver.objects.deletion import DeleteOptions
from varka.cluster.apiserver.objects.lists import ListOptions
from varka.cluster.apiserver.objects.writes import Options, Written
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.request import ANONYMOUS, Attributes, User
from varka.cluster.apiserver.rest import discovery, negotiation, openapi, paths, streaming
from varka.cluster.apiserver.rest.negotiation import Wanted

_log = logging.getLogger(__name__)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ROOTS = ("/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v3", "/readyz", "/version")
_CONNECT = ("exec", "attach", "portforward", "proxy")


class Routes:
    """The one handler of all requests. `ready` tells whether `/readyz` answers ok."""

    def __init__(self, core: Core, ready: Callable[[], bool]) -> None:
        self._core = core
        self._ready = ready

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; a failure becomes a Status."""
        try:
            user = await self._authenticate(request)
            target = paths.parse(request.path)
            if target is None:
                return await self._document(request, user)
            return await self._resource(request, user, target)
        except ApiError as error:
            return _status(error)
        except RecursionError:
            return _status(errors.bad_request("the body of the request is nested too deeply"))
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            _log.exception("a request failed: %s %s", request.method, request.path)
            return _status(errors.internal("the request could not be answered because of a fault in the server, see its log"))

    async def _authenticate(self, request: web.Request) -> User:
        authenticator = self._core.extensions.authenticator
        if authenticator is None:
            from varka.cluster.apiserver.request import ADMIN

            return ADMIN
        return await authenticator.authenticate(request) or ANONYMOUS

    def _authorize(self, attributes: Attributes) -> None:
        authorizer = self._core.extensions.authorizer
        if authorizer is None:
            return
        allowed, reason = authorizer.authorize(attributes)
        if not allowed:
            raise _forbidden(attributes, reason)

    async def _document(self, request: web.Request, user: User) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        self._authorize(Attributes(user=user, verb=request.method.lower(), path=request.path, query=dict(request.query)))
        if request.method not in ("GET", "HEAD"):
            raise errors.method_not_allowed()
        own = self._core.extensions.documents.get(path)
        if own is not None:
            return _json(own())
        registry = self._core.registry
        if path in ("/healthz", "/livez", "/readyz") or path.startswith(("/healthz/", "/livez/", "/readyz/")):
            if path.startswith("/readyz") and not self._ready():
                return web.Response(status=500, text="[-]starting failed: the server is not ready yet\n")
            return web.Response(text="ok")
        if path in ("/api", "/apis"):
            wanted = negotiation.wanted(request.headers.get("Accept", ""))
            if wanted.form == "APIGroupDiscoveryList":
                answer = discovery.aggregated(registry, core=path == "/api", api_version=wanted.version)
                kind = f"application/json;g=apidiscovery.k8s.io;v={wanted.version};as=APIGroupDiscoveryList"
                return _tagged(request, msgspec.json.encode(answer), kind)
            return _json(discovery.api_versions() if path == "/api" else discovery.groups(registry))
        if path == "/metrics":
            import prometheus_client

            return web.Response(body=prometheus_client.generate_latest(), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})
        if path == "/version":
            return _json(discovery.version())
        if path == "/":
            return _json({"paths": [*_ROOTS, *(f"/apis/{name}" for name in registry.groups())]})
        if path == "/openapi/v3":
            return _json(openapi.index(registry))
        return self._version_document(request, path)

    def _version_document(self, request: web.Request, path: str) -> web.StreamResponse:
        registry = self._core.registry
        parts = path.strip("/").split("/")
        if parts[:2] == ["openapi", "v3"]:
            group, version = (parts[3], parts[4]) if len(parts) == 5 and parts[2] == "apis" else ("", parts[3] if len(parts) == 4 else "")
            found = openapi.document(registry, group, version)
            if found is not None:
                return _tagged(request, found[1], "application/json", found[0])
        answer: Object | None = None
        if parts[0] == "apis" and len(parts) == 2:
            answer = discovery.group(registry, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            answer = discovery.resource_list(registry, parts[1], parts[2])
        elif parts[0] == "api" and len(parts) == 2:
            answer = discovery.resource_list(registry, "", parts[1])
        if answer is None:
            raise errors.path_not_found()
        return _json(answer)

    async def _resource(self, request: web.Request, user: User, target: paths.Target) -> web.StreamResponse:
        info = self._core.registry.find(target.group, target.version, target.resource)
        query = {key: request.query[key] for key in request.query}
        attributes = Attributes(
            user=user,
            verb=_verb(request, target, query),
            group=target.group,
            version=target.version,
            resource=target.resource,
            subresource=target.subresource,
            namespace=target.namespace,
            name=target.name,
            path=request.path,
            dry_run=query.get("dryRun") == "All",
            query=query,
            info=info,
        )
        self._authorize(attributes)
        if info is None or (target.subresource and target.subresource not in info.subresources):
            raise errors.path_not_found()
        if info.namespaced and target.name and not target.namespace:
            raise errors.path_not_found()
        if query.get("dryRun", "All") not in ("All", ""):
            text = f'"" is invalid: dryRun: Unsupported value: "{query["dryRun"]}": supported values: "All"'
            raise ApiError(422, "Invalid", text)
        stream = self._core.extensions.streams.get((target.group, target.resource, target.subresource))
        if stream is not None:
            entry = self._core.writes.entry(info, target.namespace, target.object_name)
            return await stream(self._core, request, attributes, entry.object)
        if target.subresource in (*_CONNECT, "log"):
            raise errors.path_not_found()
        return await self._verb(request, attributes, info)

    async def _verb(self, request: web.Request, attributes: Attributes, info: ResourceInfo) -> web.StreamResponse:
        wanted = negotiation.wanted(request.headers.get("Accept", ""))
        verb = attributes.verb
        if verb in ("get", "list", "watch"):
            return await self._read(request, attributes, info, wanted)
        if (verb not in info.verbs and not attributes.subresource) or (verb == "create" and attributes.name and not attributes.subresource):
            raise errors.method_not_allowed()
        data = await _body(request)
        if verb == "delete" or verb == "deletecollection":
            return await self._delete(request, attributes, info, wanted, data)
        if info.namespaced and not attributes.namespace:
            raise errors.bad_request("an empty namespace may not be set during creation") if verb == "create" else errors.path_not_found()
        options = _options(request, attributes)
        kind = request.headers.get("Content-Type", "")
        if verb == "create":
            written = await self._core.create(attributes, negotiation.decode(kind, data, self._core.extensions.protobuf), options)
        elif verb == "update":
            written = await self._core.update(attributes, negotiation.decode(kind, data, self._core.extensions.protobuf), options)
        else:
            patch_kind, patch = negotiation.decode_patch(kind, data)
            if patch_kind == "application/apply-patch+yaml" and not attributes.query.get("fieldManager"):
                text = 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
                raise ApiError(422, "Invalid", text, {"group": "meta.k8s.io", "kind": "PatchOptions"})
            written = await self._core.patch(attributes, patch_kind, patch, options)
        return self._answer(info, attributes, written, wanted)

    def _answer(self, info: ResourceInfo, attributes: Attributes, written: Written, wanted: Wanted) -> web.Response:
        own = not attributes.subresource or written.object.get("kind") == info.kind
        body = streaming.one(info, written.object, wanted if own else Wanted(yaml=wanted.yaml), attributes.query.get("includeObject", ""))
        response = _encoded(body, wanted, 201 if written.created else 200)
        for warning in written.warnings:
            response.headers.add("Warning", streaming.warning(warning))
        return response

    async def _read(self, request: web.Request, attributes: Attributes, info: ResourceInfo, wanted: Wanted) -> web.StreamResponse:
        reader = self._core.extensions.readers.get((info.group, info.resource))
        if reader is not None:
            answer = await reader(self._core, attributes)
            return _encoded(streaming.read(info, answer, wanted, attributes.query.get("includeObject", "")), wanted)
        if attributes.verb == "get":
            if "get" not in info.verbs:
                raise errors.method_not_allowed()
            if attributes.subresource == "scale":
                return _encoded(self._core.subresources.get_scale(attributes), wanted)
            if attributes.subresource and attributes.subresource not in ("status", "ephemeralcontainers", "resize", "approval"):
                raise errors.method_not_allowed()
            entry = self._core.writes.entry(info, attributes.namespace, attributes.name)
            if not wanted.form and not wanted.yaml and entry.object.get("apiVersion") == info.api_version:
                return web.Response(body=entry.body, content_type="application/json")
            include = attributes.query.get("includeObject", "")
            return _encoded(streaming.one(info, intake.to_version(entry.object, info), wanted, include), wanted)
        if attributes.verb not in info.verbs:
            raise errors.method_not_allowed()
        if attributes.verb == "watch":
            return await streaming.watch(self._core, request, attributes, info, wanted)
        options = ListOptions.parse(dict(attributes.query), watch=False)
        page = self._core.lists.page(info, attributes.namespace, options)
        body = streaming.listing(info, page, wanted, attributes.query.get("includeObject", ""))
        if wanted.yaml:
            return _encoded(msgspec.json.decode(body), wanted)
        return web.Response(body=body, content_type="application/json")

    async def _delete(self, request: web.Request, attributes: Attributes, info: ResourceInfo, wanted: Wanted, data: bytes) -> web.StreamResponse:
        body = negotiation.decode(request.headers.get("Content-Type", ""), data, self._core.extensions.protobuf) if data.strip() else {}
        query = dict(attributes.query)
        options = DeleteOptions.parse(body, query)
        if attributes.verb == "delete":
            if attributes.subresource:
                raise errors.method_not_allowed()
            obj, gone = await self._core.deletion.delete(attributes, options)
            if not gone or info.key in ("pods", "services"):
                return _encoded(obj, wanted)
            meta = obj["metadata"]
            details = {"name": meta["name"], **({"group": info.group} if info.group else {}), "kind": info.resource, "uid": meta["uid"]}
            return _encoded({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}, wanted)
        page = self._core.lists.page(info, attributes.namespace, ListOptions.parse(query, watch=False))
        places = [f"{entry.object['metadata'].get('namespace', '')}/{entry.object['metadata']['name']}" for entry in page.entries]
        gone_objects = await self._core.delete_collection(info, attributes, places, options)
        listed = {"kind": info.list_kind, "apiVersion": info.api_version, "metadata": {"resourceVersion": str(self._core.store.revision)}}
        return _encoded({**listed, "items": gone_objects}, wanted)


def _verb(request: web.Request, target: paths.Target, query: dict[str, str]) -> str:
    if target.subresource in _CONNECT:
        return "get" if request.method == "GET" else "create"
    if request.method in ("GET", "HEAD"):
        watching = query.get("watch") in ("true", "1") and not target.subresource
        if not target.name:
            return "watch" if watching else "list"
        return "get"
    if request.method == "DELETE" and not target.name:
        return "deletecollection"
    verb = _VERBS.get(request.method)
    if verb is None:
        raise errors.method_not_allowed()
    return verb


def _options(request: web.Request, attributes: Attributes) -> Options:
    query = attributes.query
    validation = query.get("fieldValidation") or intake.WARN
    if validation not in (intake.STRICT, intake.WARN, intake.IGNORE):
        text = f'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"'
        raise ApiError(422, "Invalid", text)
    manager = query.get("fieldManager") or request.headers.get("User-Agent", "").partition("/")[0].partition(" ")[0] or "unknown"
    if len(manager) > 128:
        raise ApiError(422, "Invalid", 'CreateOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes')
    return Options(manager=manager, validation=validation, force=query.get("force") in ("true", "1"), dry_run=attributes.dry_run)


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > negotiation.MAX_BODY:
        raise errors.too_large()
    pieces, size = [], 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > negotiation.MAX_BODY:
            raise errors.too_large()
        pieces.append(piece)
    return b"".join(pieces)


def _forbidden(attributes: Attributes, reason: str) -> ApiError:
    user = attributes.user.name
    if not attributes.is_resource:
        return ApiError(403, "Forbidden", f'forbidden: User "{user}" cannot {attributes.verb} path "{attributes.path}"' + (f": {reason}" if reason else ""))
    qualified = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
    named = f'{qualified} "{attributes.name}"' if attributes.name else qualified
    resource = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    text = f'{named} is forbidden: User "{user}" cannot {attributes.verb} resource "{resource}" in API group "{attributes.group}" {where}'
    details: Object = {"kind": attributes.resource, **({"group": attributes.group} if attributes.group else {})}
    if attributes.name:
        details["name"] = attributes.name
    return ApiError(403, "Forbidden", text + (f": {reason}" if reason else ""), details)


def _status(error: ApiError) -> web.Response:
    response = _json(error.status, error.code)
    if "retryAfterSeconds" in error.details:
        response.headers["Retry-After"] = str(error.details["retryAfterSeconds"])
    return response


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def _encoded(body: Any, wanted: Wanted, status: int = 200) -> web.Response:
    if not wanted.yaml:
        return _json(body, status)
    import yaml

    return web.Response(status=status, text=yaml.safe_dump(body, sort_keys=False), content_type="application/yaml")


def _tagged(request: web.Request, body: bytes, content_type: str, tag: str = "") -> web.Response:
    tag = tag or hashlib.sha256(body).hexdigest().upper()
    headers = {"ETag": f'"{tag}"', "Content-Type": content_type, "Vary": "Accept"}
    if tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers)
