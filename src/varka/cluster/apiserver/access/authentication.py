"""Who sends a request: the holder of a client certificate or of a ServiceAccount token.

Nobody else is let in, except to the few paths that tell health and version. A caller with the right `impersonate` may
act as somebody else (`kubectl --as`).
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

from aiohttp import web

from varka.client.api import Api, ApiError
from varka.cluster.apiserver.access import tokens
from varka.cluster.apiserver.request import ANONYMOUS, Attributes, Authorizer, User

PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")
AUTHENTICATED = "system:authenticated"


def unauthorized() -> ApiError:
    """The Status for bad or missing credentials."""
    return ApiError(401, "Unauthorized", "Unauthorized")


class RequestAuthenticator:
    """Looks at the TLS connection's certificate, then at the bearer token.

    `api` is a function because the API exists only after the server that this is plugged into.
    """

    def __init__(self, signer: tokens.TokenSigner, api: Callable[[], Api], authorizer: Authorizer) -> None:
        self._signer = signer
        self._api = api
        self._authorizer = authorizer

    async def authenticate(self, request: web.Request) -> User | None:
        """The caller, or whom the caller acts as; ApiError 401 without valid credentials, 403 for impersonation without the right."""
        user = of_certificate(_peer_certificate(request)) or await self._of_token(request)
        if user is None:
            if any(request.path == path or request.path.startswith(path + "/") for path in PUBLIC_PATHS):
                return ANONYMOUS
            raise unauthorized()
        if "Impersonate-User" in request.headers:
            return self._impersonated(user, request)
        if any(name.lower().startswith("impersonate-") for name in request.headers):
            raise ApiError(400, "BadRequest", "requested impersonation without impersonating a user")
        return user

    async def _of_token(self, request: web.Request) -> User | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        try:
            return (await self._signer.verify(self._api(), token.strip())).user
        except tokens.InvalidToken as error:
            raise unauthorized() from error

    def _impersonated(self, user: User, request: web.Request) -> User:
        name = request.headers["Impersonate-User"]
        groups = tuple(request.headers.getall("Impersonate-Group", []))
        extra: dict[str, tuple[str, ...]] = {}
        for header in request.headers:
            if header.lower().startswith("impersonate-extra-"):
                key = urllib.parse.unquote(header[len("impersonate-extra-") :]).lower()
                extra[key] = tuple(request.headers.getall(header))
        if name.startswith("system:serviceaccount:") and name.count(":") == 3:
            _, _, namespace, account = name.split(":")
            self._require(user, "serviceaccounts", account, namespace)
            groups = groups or ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        else:
            self._require(user, "users", name)
        for group in request.headers.getall("Impersonate-Group", []):
            self._require(user, "groups", group)
        uid = request.headers.get("Impersonate-Uid", "")
        if uid:
            self._require(user, "uids", uid, group="authentication.k8s.io")
        for key, values in extra.items():
            for value in values:
                self._require(user, "userextras", value, group="authentication.k8s.io", subresource=key)
        if name != ANONYMOUS.name and AUTHENTICATED not in groups:
            groups = (*groups, AUTHENTICATED)
        return User(name=name, uid=uid, groups=groups, extra=extra)

    def _require(self, user: User, resource: str, name: str, namespace: str = "", *, group: str = "", subresource: str = "") -> None:
        version = "v1"
        attributes = Attributes(
            user=user, verb="impersonate", group=group, version=version, resource=resource, subresource=subresource, namespace=namespace, name=name
        )
        allowed, _ = self._authorizer.authorize(attributes)
        if not allowed:
            where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
            shown = f"{resource}/{subresource}" if subresource else resource
            qualified = f"{resource}.{group}" if group else resource
            message = f'{qualified} "{name}" is forbidden: User "{user.name}" cannot impersonate resource "{shown}" in API group "{group}"{where}'
            raise ApiError(403, "Forbidden", message, {"name": name, "group": group, "kind": resource})


def of_certificate(certificate: dict[str, Any] | None) -> User | None:
    """The user of a verified certificate, in the form of `ssl.SSLSocket.getpeercert`: CN is the name, every O a group."""
    if not certificate:
        return None
    names = [(key, value) for part in certificate.get("subject", ()) for key, value in part]
    name = next((value for key, value in names if key == "commonName"), "")
    if not name:
        return None
    groups = tuple(value for key, value in names if key == "organizationName")
    return User(name=name, groups=(*groups, AUTHENTICATED))


def _peer_certificate(request: web.Request) -> dict[str, Any] | None:
    if request.transport is None:
        return None
    secured = request.transport.get_extra_info("ssl_object")
    certificate: dict[str, Any] | None = secured.getpeercert() if secured is not None else None
    return certificate
