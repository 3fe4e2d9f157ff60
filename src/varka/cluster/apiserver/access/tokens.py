"""ServiceAccount tokens: how workloads prove who they are, to this API server and, by TokenReview, to others.

A token is a JWT signed with ES256 by the cluster's token key. It is bound to its ServiceAccount and, when asked for,
to a Pod or Secret: it dies with any of them, which is why every check asks the API for the objects.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from varka.base import clock as clocks
from varka.client.api import Api, ApiError, Gvr, Object
from varka.cluster.apiserver.request import Attributes, ServerContext, User

ISSUER = "https://kubernetes.default.svc.cluster.local"
MIN_LIFETIME = 600
DEFAULT_LIFETIME = 3600
MAX_LIFETIME = 1 << 32
REMEMBERED = 4096
"""Tokens whose signature is not checked again; time and objects always are."""

SERVICE_ACCOUNTS = Gvr("", "v1", "serviceaccounts")
_BOUND = {"Pod": Gvr("", "v1", "pods"), "Secret": Gvr("", "v1", "secrets"), "Node": Gvr("", "v1", "nodes")}


class InvalidToken(Exception):
    """The token is not one of this cluster's, has expired, or what it is bound to is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Who a token stands for, and for which of the asked audiences it is good."""

    user: User
    audiences: tuple[str, ...]


class TokenSigner:
    """Signs and checks tokens with one key."""

    def __init__(self, key_pem: bytes, clock: clocks.Clock, issuer: str = ISSUER) -> None:
        key = serialization.load_pem_private_key(key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the token key is no ECDSA key")
        self._key = key
        self._clock = clock
        self.issuer = issuer
        self._checked: dict[str, dict[str, Any]] = {}
        der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = _base64url(hashlib.sha256(der).digest())

    def sign(self, account: Object, audiences: Sequence[str], seconds: int, bound: Object | None = None) -> tuple[str, str]:
        """A token for a ServiceAccount object, and when it expires (RFC 3339); `bound` is the Pod, Secret or Node it dies with."""
        now = self._clock.now()
        issued = int(now.timestamp())
        metadata = account["metadata"]
        private: dict[str, Any] = {"namespace": metadata["namespace"], "serviceaccount": _reference(account)}
        if bound is not None:
            private[str(bound["kind"]).lower()] = _reference(bound)
            node = bound.get("spec", {}).get("nodeName") if bound["kind"] == "Pod" else ""
            if node:
                private["node"] = {"name": node}
        claims = {
            "iss": self.issuer,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
            "aud": list(audiences) or [self.issuer],
            "iat": issued,
            "nbf": issued,
            "exp": issued + seconds,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
        }
        token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self.key_id})
        return token, clocks.rfc3339(now + timedelta(seconds=seconds))

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token with our signature and within its time; InvalidToken otherwise."""
        claims = self._checked.get(token)
        if claims is None:
            claims = self._check_signature(token)
            if len(self._checked) >= REMEMBERED:
                self._checked.clear()
            self._checked[token] = claims
        now = self._clock.now().timestamp()
        if now >= claims["exp"]:
            raise InvalidToken("service account token has expired")
        if now + 60 < claims.get("nbf", 0):
            raise InvalidToken("service account token is not valid yet")
        return claims

    def _check_signature(self, token: str) -> dict[str, Any]:
        options: Any = {"require": ["exp", "iat", "sub", "aud"], "verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims: dict[str, Any] = jwt.decode(token, self._key.public_key(), algorithms=["ES256"], issuer=self.issuer, options=options)
        except jwt.PyJWTError as error:
            raise InvalidToken(f"invalid bearer token: {error}") from error
        return claims

    async def verify(self, api: Api, token: str, audiences: Sequence[str] = ()) -> Verified:
        """Whom a token stands for; InvalidToken when it is bad for every one of `audiences` (default: the API server)."""
        claims = self.claims(token)
        wanted = tuple(audiences) or (self.issuer,)
        carried = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        common = tuple(audience for audience in wanted if audience in carried)
        if not common:
            raise InvalidToken(f"token audiences {carried} is invalid for the target audiences {list(wanted)}")
        private = claims.get("kubernetes.io", {})
        namespace = private.get("namespace", "")
        account = private.get("serviceaccount", {})
        await _check_exists(api, SERVICE_ACCOUNTS, "service account", namespace, account)
        for kind, gvr in _BOUND.items():
            reference = private.get(kind.lower())
            if reference and reference.get("uid"):
                await _check_exists(api, gvr, kind.lower(), None if kind == "Node" else namespace, reference)
        return Verified(user=_user(namespace, account, private, claims.get("jti", "")), audiences=common)

    def openid_configuration(self) -> Object:
        """The answer to `/.well-known/openid-configuration`."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def jwks(self) -> Object:
        """The answer to `/openid/v1/jwks`."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"keys": [{"use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256", "x": x, "y": y}]}

    async def request_token(self, context: ServerContext, attributes: Attributes, body: Object, account: Object | None) -> Object:
        """Answers a POST to `serviceaccounts/token`: a TokenRequest with its status filled in."""
        if account is None:
            raise ApiError(404, "NotFound", f'serviceaccounts "{attributes.name}" not found', {"kind": "serviceaccounts", "name": attributes.name})
        spec = body.get("spec") or {}
        seconds = _lifetime(spec.get("expirationSeconds"), attributes.name)
        audiences = [str(audience) for audience in spec.get("audiences") or [self.issuer]]
        bound = await _bound_object(context.api, account, spec.get("boundObjectRef"))
        token, expires = self.sign(account, audiences, seconds, bound)
        metadata = {"name": attributes.name, "namespace": attributes.namespace, "creationTimestamp": clocks.rfc3339(self._clock.now())}
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": metadata,
            "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds},
            "status": {"token": token, "expirationTimestamp": expires},
        }


def _lifetime(asked: object, name: str) -> int:
    if asked is None:
        return DEFAULT_LIFETIME
    seconds = asked if isinstance(asked, int) else 0
    problem = ""
    if seconds < MIN_LIFETIME:
        problem = "may not specify a duration less than 10 minutes"
    elif seconds > MAX_LIFETIME:
        problem = "may not specify a duration larger than 2^32 seconds"
    if problem:
        cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {asked}: {problem}", "field": "spec.expirationSeconds"}
        details = {"name": name, "group": "authentication.k8s.io", "kind": "TokenRequest", "causes": [cause]}
        message = f'TokenRequest.authentication.k8s.io "{name}" is invalid: spec.expirationSeconds: Invalid value: {asked}: {problem}'
        raise ApiError(422, "Invalid", message, details)
    return seconds


async def _bound_object(api: Api, account: Object, reference: Object | None) -> Object | None:
    if not reference:
        return None
    kind, name, uid = reference.get("kind", ""), reference.get("name", ""), reference.get("uid", "")
    if kind not in _BOUND:
        raise ApiError(400, "BadRequest", f'cannot bind token for serviceaccount "{account["metadata"]["name"]}" to object reference of kind {kind!r}')
    namespace = None if kind == "Node" else account["metadata"]["namespace"]
    found = await api.get(_BOUND[kind], name, namespace)
    actual = found["metadata"]["uid"]
    if uid and uid != actual:
        message = f"the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        raise ApiError(409, "Conflict", message, {"name": name, "kind": kind})
    if kind == "Pod" and found.get("spec", {}).get("serviceAccountName", "default") != account["metadata"]["name"]:
        message = f'cannot bind token for serviceaccount "{account["metadata"]["name"]}" to pod running with different serviceaccount name.'
        raise ApiError(400, "BadRequest", message)
    return {**found, "kind": kind}


async def _check_exists(api: Api, gvr: Gvr, what: str, namespace: str | None, reference: Object) -> None:
    name = reference.get("name", "")
    try:
        found = await api.get(gvr, name, namespace)
    except ApiError as error:
        if error.code == 404:
            raise InvalidToken(f"{what} {name} has been deleted") from error
        raise
    if found["metadata"].get("uid") != reference.get("uid"):
        raise InvalidToken(f"{what} {name} is not the one that the token was made for")


def _user(namespace: str, account: Object, private: Object, token_id: str) -> User:
    extra: dict[str, tuple[str, ...]] = {"authentication.kubernetes.io/credential-id": (f"JTI={token_id}",)}
    for kind in ("pod", "node"):
        reference = private.get(kind, {})
        if reference.get("name"):
            extra[f"authentication.kubernetes.io/{kind}-name"] = (reference["name"],)
        if reference.get("uid"):
            extra[f"authentication.kubernetes.io/{kind}-uid"] = (reference["uid"],)
    return User(
        name=f"system:serviceaccount:{namespace}:{account.get('name', '')}",
        uid=account.get("uid", ""),
        groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
        extra=dict(sorted(extra.items())),
    )


def _reference(obj: Object) -> dict[str, str]:
    return {"name": obj["metadata"]["name"], "uid": obj["metadata"].get("uid", "")}


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
