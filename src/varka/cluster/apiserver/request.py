"""What the parts of the API server say to each other about one request, and the interfaces by which parts are plugged in.

The server itself knows verbs, storage and schemas. Who the caller is (authentication), what the caller may do
(authorization), webhooks (admission), protobuf bodies, streaming subresources and resources that exist only while they
are asked for (reviews, tokens, usage) are handed to it as `Extensions`; the fallbacks here let everything through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from varka.client.api import Api, Object

if TYPE_CHECKING:
    from aiohttp import web

    from varka.cluster.apiserver.podruntime import PodRuntime
    from varka.cluster.apiserver.registry import Registry, ResourceInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who asks; `uid` and `extra` may be empty."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = User(name="system:anonymous", groups=("system:unauthenticated",))
ADMIN = User(name="system:admin", groups=("system:masters", "system:authenticated"))
"""The identity of the node's own components."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """One request as authorization and admission see it.

    `verb` is Kubernetes' (`get list watch create update patch delete deletecollection`), or the HTTP method in lower case
    when `resource` is empty (`/healthz`); `namespace` and `name` are empty when the request names none; `path` is the URL
    path; `query` holds the last value of every query parameter.
    """

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    dry_run: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    info: ResourceInfo | None = None

    @property
    def is_resource(self) -> bool:
        """Whether the request is for a resource and not for a path such as `/version`."""
        return bool(self.resource)


class Authenticator(Protocol):
    """Tells who sent a request."""

    async def authenticate(self, request: web.Request) -> User | None:
        """The caller; None for no credentials at all; ApiError 401 for bad ones. Impersonation headers are the authenticator's too."""
        ...


class Authorizer(Protocol):
    """Tells whether the caller may."""

    def authorize(self, attributes: Attributes) -> tuple[bool, str]:
        """Whether it is allowed, and why (the reason goes into the 403 message when it is not empty)."""
        ...


class Admission(Protocol):
    """Webhooks and other outside checks of a write; ApiError refuses it.

    `operation` is CREATE, UPDATE, DELETE or CONNECT; `obj` is None for DELETE, `old` is None for CREATE. The objects may
    not be changed in place. `mutate` runs before defaulting and validation, `validate` after them.
    """

    async def mutate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> tuple[Object | None, list[str]]:
        """The object as the webhooks left it, and warnings for the caller."""
        ...

    async def validate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> list[str]:
        """Warnings for the caller."""
        ...


BodyDecoder = Callable[[bytes], Object]
"""From the bytes of an `application/vnd.kubernetes.protobuf` body to the object's JSON; ValueError when it is none."""


class ServerContext(Protocol):
    """What a plugged-in handler may use of the server."""

    @property
    def api(self) -> Api:
        """The API in this process, as system:masters."""
        ...

    @property
    def registry(self) -> Registry: ...

    @property
    def runtime(self) -> PodRuntime | None: ...

    @property
    def extensions(self) -> Extensions: ...


StreamHandler = Callable[["ServerContext", "web.Request", Attributes, Object], Awaitable["web.StreamResponse"]]
"""Answers a streaming subresource (`pods/log`, `pods/exec`, …); the last argument is the stored object."""

CreateHandler = Callable[["ServerContext", Attributes, Object, Object | None], Awaitable[Object]]
"""Answers a POST that stores nothing: body in, answer out; the last argument is the stored parent object of a subresource
(`serviceaccounts/token`), None for a resource of its own (`subjectaccessreviews`)."""

ReadHandler = Callable[["ServerContext", Attributes], Awaitable[Object]]
"""Answers `get` (attributes.name set) and `list` of a resource that is not stored (`metrics.k8s.io`); lists are List objects."""


@dataclass(kw_only=True)
class Extensions:
    """Everything that is plugged into the server.

    Keys are (group, resource, subresource); the subresource is empty for a resource of its own. Resources of their own
    must also be in `virtual`, which puts them into discovery.
    """

    authenticator: Authenticator | None = None
    authorizer: Authorizer | None = None
    admission: Admission | None = None
    protobuf: BodyDecoder | None = None
    streams: dict[tuple[str, str, str], StreamHandler] = field(default_factory=dict)
    creators: dict[tuple[str, str, str], CreateHandler] = field(default_factory=dict)
    readers: dict[tuple[str, str], ReadHandler] = field(default_factory=dict)
    virtual: list[ResourceInfo] = field(default_factory=list)
    documents: dict[str, Callable[[], Object]] = field(default_factory=dict)
    """Paths outside of the resources (`/openid/v1/jwks`) and the JSON that GET gives there, after authorization."""


class NoAdmission:
    """Lets every write through unchanged."""

    async def mutate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> tuple[Object | None, list[str]]:
        return obj, []

    async def validate(self, attributes: Attributes, operation: str, obj: Object | None, old: Object | None) -> list[str]:
        return []


class AllowAll:
    """Authenticates everybody as admin and allows everything; for tests and a server without extensions."""

    async def authenticate(self, request: web.Request) -> User | None:
        return ADMIN

    def authorize(self, attributes: Attributes) -> tuple[bool, str]:
        return True, ""
