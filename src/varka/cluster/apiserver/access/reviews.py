"""Questions to the API server that are asked by creating an object which is never stored: who am I, who is this token, may this user do that.

`kubectl auth whoami`, `auth can-i`, and every component that checks tokens (istiod among them) ask this way.
"""

from __future__ import annotations

from typing import Any

import msgspec

from varka.base import clock as clocks
from varka.client.api import ApiError, Object
from varka.cluster.apiserver.access import tokens
from varka.cluster.apiserver.access.authorization import RoleAuthorizer
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.request import Attributes, CreateHandler, ServerContext, User

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


def _info(group: str, resource: str, kind: str, *, namespaced: bool = False) -> ResourceInfo:
    return ResourceInfo(group=group, version="v1", resource=resource, kind=kind, singular=kind.lower(), namespaced=namespaced, verbs=("create",))


RESOURCES = (
    _info(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview"),
    _info(AUTHENTICATION, "tokenreviews", "TokenReview"),
    _info(AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
    _info(AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _info(AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _info(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview"),
)


class Reviews:
    """The handlers, over one signer of tokens and one authorizer."""

    def __init__(self, signer: tokens.TokenSigner, authorizer: RoleAuthorizer, clock: clocks.Clock) -> None:
        self._signer = signer
        self._authorizer = authorizer
        self._clock = clock

    def handlers(self) -> dict[tuple[str, str, str], CreateHandler]:
        """For `Extensions.creators`."""
        answers: dict[tuple[str, str, str], CreateHandler] = {
            (AUTHENTICATION, "selfsubjectreviews", ""): self.self_subject,
            (AUTHENTICATION, "tokenreviews", ""): self.token,
            (AUTHORIZATION, "localsubjectaccessreviews", ""): self.local_access,
            (AUTHORIZATION, "selfsubjectaccessreviews", ""): self.self_access,
            (AUTHORIZATION, "selfsubjectrulesreviews", ""): self.self_rules,
            (AUTHORIZATION, "subjectaccessreviews", ""): self.access,
            ("", "serviceaccounts", "token"): self._signer.request_token,
        }
        return {key: _typed(handler) for key, handler in answers.items()}

    async def self_subject(self, context: ServerContext, attributes: Attributes, body: Object, parent: Object | None) -> Object:
        """SelfSubjectReview: who the server takes the caller for."""
        return self._answer("SelfSubjectReview", AUTHENTICATION, body, status={"userInfo": user_info(attributes.user)}, spec=False)

    async def token(self, context: ServerContext, attributes: Attributes, body: Object, parent: Object | None) -> Object:
        """TokenReview: whom a token stands for, and whether for one of the audiences."""
        spec = body.get("spec") or {}
        token = spec.get("token") or ""
        if not token:
            raise _invalid("TokenReview", AUTHENTICATION, "spec.token", "Required value: token is required for authentication in TokenReview")
        status: Object
        try:
            verified = await self._signer.verify(context.api, token, spec.get("audiences") or ())
            status = {"authenticated": True, "user": user_info(verified.user), "audiences": list(verified.audiences)}
        except tokens.InvalidToken as error:
            status = {"user": {}, "error": f"[invalid bearer token, {error}]"}
        return self._answer("TokenReview", AUTHENTICATION, body, status=status)

    async def self_access(self, context: ServerContext, attributes: Attributes, body: Object, parent: Object | None) -> Object:
        """SelfSubjectAccessReview: `kubectl auth can-i`."""
        status = self._decide(attributes.user, body.get("spec") or {}, "SelfSubjectAccessReview")
        return self._answer("SelfSubjectAccessReview", AUTHORIZATION, body, status=status)

    async def access(self, context: ServerContext, attributes: Attributes, body: Object, parent: Object | None) -> Object:
        """SubjectAccessReview: whether somebody else may."""
        spec = body.get("spec") or {}
        status = self._decide(_subject(spec, "SubjectAccessReview"), spec, "SubjectAccessReview")
        return self._answer("SubjectAccessReview", AUTHORIZATION, body, status=status)

    async def local_access(self, context: ServerContext, attributes: Attributes, body: Object, parent: Object | None) -> Object:
        """LocalSubjectAccessReview: the same inside one namespace."""
        spec = body.get("spec") or {}
        kind = "LocalSubjectAccessReview"
        if (spec.get("resourceAttributes") or {}).get("namespace", "") != attributes.namespace:
            raise _invalid(kind, AUTHORIZATION, "spec.resourceAttributes.namespace", "Invalid value: must match metadata.namespace")
        return self._answer(kind, AUTHORIZATION, body, status=self._decide(_subject(spec, kind), spec, kind))

    async def self_rules(self, context: ServerContext, attributes: Attributes, body: Object, parent: Object | None) -> Object:
        """SelfSubjectRulesReview: `kubectl auth can-i --list`."""
        namespace = (body.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise ApiError(400, "BadRequest", "no namespace on request")
        resource_rules, path_rules = [], []
        for rule in self._authorizer.rules(attributes.user, namespace):
            if rule.get("nonResourceURLs"):
                path_rules.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
            else:
                kept = {key: rule[key] for key in ("verbs", "apiGroups", "resources", "resourceNames") if rule.get(key)}
                resource_rules.append(kept)
        status = {"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": False}
        return self._answer("SelfSubjectRulesReview", AUTHORIZATION, body, status=status)

    def _decide(self, user: User, spec: Object, kind: str) -> Object:
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if bool(resource is not None) == bool(path is not None):
            text = "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified"
            raise _invalid(kind, AUTHORIZATION, "spec.resourceAttributes", text)
        if resource is not None:
            fields: dict[str, Any] = {name: resource.get(name) or "" for name in ("verb", "group", "version", "resource", "subresource", "namespace", "name")}
            attributes = Attributes(user=user, **{**fields, "resource": fields["resource"] or "*"})
        else:
            attributes = Attributes(user=user, verb=(path or {}).get("verb", ""), path=(path or {}).get("path", ""))
        allowed, reason = self._authorizer.authorize(attributes)
        return {"allowed": allowed, **({"reason": reason} if reason else {})}

    def _answer(self, kind: str, group: str, body: Object, *, status: Object, spec: bool = True) -> Object:
        metadata = {**(body.get("metadata") or {}), "creationTimestamp": clocks.rfc3339(self._clock.now())}
        answer: Object = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": metadata}
        if spec:
            answer["spec"] = body.get("spec") or {}
        return {**answer, "status": status}


class _ResourceAttributes(msgspec.Struct):
    verb: str | None = None
    group: str | None = None
    version: str | None = None
    resource: str | None = None
    subresource: str | None = None
    namespace: str | None = None
    name: str | None = None


class _PathAttributes(msgspec.Struct):
    verb: str | None = None
    path: str | None = None


class _Spec(msgspec.Struct, rename="camel"):
    token: str | None = None
    audiences: list[str] | None = None
    user: str | None = None
    uid: str | None = None
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None
    namespace: str | None = None
    resource_attributes: _ResourceAttributes | None = None
    non_resource_attributes: _PathAttributes | None = None
    expiration_seconds: int | None = None
    bound_object_ref: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    """The types that any of the bodies may have in its fields; which of the fields it has is for each to say."""

    metadata: dict[str, Any] | None = None
    spec: _Spec | None = None


def _typed(handler: CreateHandler) -> CreateHandler:
    async def checked(context: ServerContext, attributes: Attributes, body: Object, parent: Object | None) -> Object:
        try:
            msgspec.convert(body, _Body)
        except msgspec.ValidationError as error:
            raise ApiError(400, "BadRequest", f"the body of {attributes.resource} cannot be read: {error}") from error
        return await handler(context, attributes, body, parent)

    return checked


def user_info(user: User) -> Object:
    """A user as the JSON `UserInfo` of reviews and admission."""
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _subject(spec: Object, kind: str) -> User:
    if not spec.get("user") and not spec.get("groups"):
        raise _invalid(kind, AUTHORIZATION, "spec.user", "Invalid value: at least one of user or group must be specified")
    extra: dict[str, Any] = spec.get("extra") or {}
    return User(
        name=spec.get("user") or "",
        uid=spec.get("uid") or "",
        groups=tuple(spec.get("groups") or ()),
        extra={key: tuple(values) for key, values in extra.items()},
    )


def _invalid(kind: str, group: str, field: str, text: str) -> ApiError:
    reason = "FieldValueRequired" if text.startswith("Required") else "FieldValueInvalid"
    details = {"group": group, "kind": kind, "causes": [{"reason": reason, "message": text, "field": field}]}
    return ApiError(422, "Invalid", f'{kind}.{group} "" is invalid: {field}: {text}', details)
