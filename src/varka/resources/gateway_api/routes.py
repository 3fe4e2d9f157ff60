"""HTTPRoute, GRPCRoute, TLSRoute and TCPRoute: where the requests and connections of a gateway, or of the mesh, go."""

from __future__ import annotations

from typing import Annotated, Literal

from varka.resources.gateway_api.gateways import Hostname, PortNumber, Weight
from varka.resources.schema import Int32, NonEmpty, Schema, Spec


class ParentReference(Spec):
    """What a route attaches to: a Gateway or one listener of it, or a Service for calls inside the mesh."""

    group: str = "gateway.networking.k8s.io"
    kind: str = "Gateway"
    namespace: str = ""
    name: Annotated[NonEmpty, Schema(required=True)] = ""
    section_name: str = ""
    port: PortNumber | None = None


class BackendObjectReference(Spec):
    """A Service and a port of it."""

    group: str = ""
    kind: str = "Service"
    name: Annotated[NonEmpty, Schema(required=True)] = ""
    namespace: str = ""
    port: PortNumber | None = None


class HttpHeader(Spec):
    """A header's name and value."""

    name: Annotated[NonEmpty, Schema(required=True)] = ""
    value: Annotated[str, Schema(required=True)] = ""


class HeaderFilter(Spec):
    """Headers to overwrite, append and drop."""

    set: Annotated[tuple[HttpHeader, ...], Schema(maxItems=16)] = ()
    add: Annotated[tuple[HttpHeader, ...], Schema(maxItems=16)] = ()
    remove: Annotated[tuple[str, ...], Schema(maxItems=16)] = ()


class PathModifier(Spec):
    """A new path, or a new prefix for the one that was matched."""

    type: Annotated[Literal["ReplaceFullPath", "ReplacePrefixMatch"], Schema(required=True)] = "ReplaceFullPath"
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class RequestRedirect(Spec):
    """An answer that sends the client elsewhere."""

    scheme: Literal["http", "https"] | None = None
    hostname: Hostname = ""
    path: PathModifier | None = None
    port: PortNumber | None = None
    status_code: Int32 = 302


class UrlRewrite(Spec):
    """New host name or path for the forwarded request."""

    hostname: Hostname = ""
    path: PathModifier | None = None


class Fraction(Spec):
    """A part of the requests."""

    numerator: Annotated[Int32, Schema(required=True, minimum=0)] = 0
    denominator: Annotated[Int32, Schema(minimum=1)] = 100


class RequestMirror(Spec):
    """A copy of the requests for another backend; its answers are dropped."""

    backend_ref: Annotated[BackendObjectReference | None, Schema(required=True)] = None
    percent: Annotated[Int32, Schema(minimum=0, maximum=100)] | None = None
    fraction: Fraction | None = None


class Cors(Spec):
    """Which scripts of other origins may call."""

    allow_origins: Annotated[tuple[str, ...], Schema(maxItems=64)] = ()
    allow_credentials: bool = False
    allow_methods: Annotated[tuple[str, ...], Schema(maxItems=9)] = ()
    allow_headers: Annotated[tuple[str, ...], Schema(maxItems=64)] = ()
    expose_headers: Annotated[tuple[str, ...], Schema(maxItems=64)] = ()
    max_age: Annotated[Int32, Schema(minimum=1)] = 5


class LocalObjectReference(Spec):
    """An object of the same namespace."""

    group: Annotated[str, Schema(required=True)] = ""
    kind: Annotated[NonEmpty, Schema(required=True)] = ""
    name: Annotated[NonEmpty, Schema(required=True)] = ""


class Filter(Spec):
    """One thing that is done to requests on their way; `type` says which field counts."""

    type: Annotated[
        Literal["RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite", "CORS", "ExtensionRef"],
        Schema(required=True),
    ] = "ExtensionRef"
    request_header_modifier: HeaderFilter | None = None
    response_header_modifier: HeaderFilter | None = None
    request_mirror: RequestMirror | None = None
    request_redirect: RequestRedirect | None = None
    url_rewrite: UrlRewrite | None = None
    cors: Cors | None = None
    extension_ref: LocalObjectReference | None = None


class BackendRef(BackendObjectReference):
    """A backend and its share of the requests."""

    weight: Weight = 1
    filters: Annotated[tuple[Filter, ...], Schema(maxItems=16)] = ()


class PathMatch(Spec):
    """A condition on the path."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: Annotated[str, Schema(maxLength=1024)] = "/"


class ValueMatch(Spec):
    """A condition on a header or a query parameter."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    name: Annotated[NonEmpty, Schema(required=True)] = ""
    value: Annotated[str, Schema(required=True)] = ""


class HttpRouteMatch(Spec):
    """Conditions on a request, all of which must hold."""

    path: PathMatch | None = None
    headers: Annotated[tuple[ValueMatch, ...], Schema(maxItems=16)] = ()
    query_params: Annotated[tuple[ValueMatch, ...], Schema(maxItems=16)] = ()
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] | None = None


class HttpTimeouts(Spec):
    """How long a request, and one try of it, may take."""

    request: str | None = None
    backend_request: str | None = None


class HttpRetry(Spec):
    """When a request is tried again."""

    codes: tuple[Int32, ...] = ()
    attempts: Int32 | None = None
    backoff: str | None = None


class HttpRouteRule(Spec):
    """Requests that fit one of the matches go to the backends."""

    name: str = ""
    matches: Annotated[tuple[HttpRouteMatch, ...], Schema(maxItems=64)] = ()
    filters: Annotated[tuple[Filter, ...], Schema(maxItems=16)] = ()
    backend_refs: Annotated[tuple[BackendRef, ...], Schema(maxItems=16)] = ()
    timeouts: HttpTimeouts | None = None
    retry: HttpRetry | None = None


class HttpRoute(Spec):
    """Rules for HTTP requests."""

    parent_refs: Annotated[tuple[ParentReference, ...], Schema(maxItems=32)] = ()
    hostnames: Annotated[tuple[Hostname, ...], Schema(maxItems=16)] = ()
    rules: Annotated[tuple[HttpRouteRule, ...], Schema(maxItems=16)] = (HttpRouteRule(),)


class GrpcMethodMatch(Spec):
    """A condition on service and method."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    service: str | None = None
    method: str | None = None


class GrpcRouteMatch(Spec):
    """Conditions on a call, all of which must hold."""

    method: GrpcMethodMatch | None = None
    headers: Annotated[tuple[ValueMatch, ...], Schema(maxItems=16)] = ()


class GrpcRouteRule(Spec):
    """Calls that fit one of the matches go to the backends."""

    name: str = ""
    matches: Annotated[tuple[GrpcRouteMatch, ...], Schema(maxItems=64)] = ()
    filters: Annotated[tuple[Filter, ...], Schema(maxItems=16)] = ()
    backend_refs: Annotated[tuple[BackendRef, ...], Schema(maxItems=16)] = ()


class GrpcRoute(Spec):
    """Rules for gRPC calls."""

    parent_refs: Annotated[tuple[ParentReference, ...], Schema(maxItems=32)] = ()
    hostnames: Annotated[tuple[Hostname, ...], Schema(maxItems=16)] = ()
    rules: Annotated[tuple[GrpcRouteRule, ...], Schema(maxItems=16)] = (GrpcRouteRule(),)


class L4BackendRef(BackendObjectReference):
    """A backend and its share of the connections."""

    weight: Weight = 1


class L4RouteRule(Spec):
    """Connections go to the backends."""

    name: str = ""
    backend_refs: Annotated[tuple[L4BackendRef, ...], Schema(required=True, minItems=1, maxItems=16)] = ()


class TlsRoute(Spec):
    """Rules for TLS connections, told apart by the name that the client asks for."""

    parent_refs: Annotated[tuple[ParentReference, ...], Schema(maxItems=32)] = ()
    hostnames: Annotated[tuple[Hostname, ...], Schema(maxItems=16)] = ()
    rules: Annotated[tuple[L4RouteRule, ...], Schema(required=True, minItems=1, maxItems=16)] = ()


class TcpRoute(Spec):
    """Rules for TCP connections."""

    parent_refs: Annotated[tuple[ParentReference, ...], Schema(maxItems=32)] = ()
    rules: Annotated[tuple[L4RouteRule, ...], Schema(required=True, minItems=1, maxItems=16)] = ()
