"""VirtualService: rules that choose a destination for a request, in the order in which they are tried."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from varka.resources.schema import BoolValue, Double, Duration, Int32, Schema, Spec, UInt32, UInt32Value


class StringMatch(Spec):
    """A test of a text; none of the three given: the text only has to be there."""

    schema_one_of = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class PortSelector(Spec):
    """A port by its number."""

    number: UInt32 | None = None


class Destination(Spec):
    """A service, and perhaps a subset and a port of it."""

    host: Annotated[str, Schema(required=True)] = ""
    subset: str = ""
    port: PortSelector | None = None


class HeaderOperations(Spec):
    """Headers to overwrite, append and drop."""

    set: dict[str, str] = {}
    add: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class Headers(Spec):
    """Header operations on requests and on responses."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class HttpMatchRequest(Spec):
    """Conditions on a request, all of which must hold."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = {}
    port: UInt32 | None = None
    source_labels: dict[str, str] = {}
    gateways: tuple[str, ...] = ()
    query_params: dict[str, StringMatch] = {}
    ignore_uri_case: bool = False
    without_headers: dict[str, StringMatch] = {}
    source_namespace: str = ""
    stat_prefix: str = ""


class HttpRouteDestination(Spec):
    """A destination and its share of the requests."""

    destination: Annotated[Destination | None, Schema(required=True)] = None
    weight: Int32 = 0
    headers: Headers | None = None


class HttpRedirect(Spec):
    """An answer that sends the client elsewhere."""

    schema_one_of = (("port", "derivePort"),)

    uri: str = ""
    authority: str = ""
    port: UInt32 | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str = ""
    redirect_code: UInt32 = 0


class HttpBody(Spec):
    """The body of a direct response; bytes are in base64."""

    schema_one_of = (("string", "bytes"),)

    string: str | None = None
    bytes: Annotated[str | None, Schema(format="binary")] = None


class HttpDirectResponse(Spec):
    """A fixed answer."""

    status: Annotated[UInt32, Schema(required=True)] = 0
    body: HttpBody | None = None


class Delegate(Spec):
    """Another VirtualService that goes on with this rule."""

    name: str = ""
    namespace: str = ""


class RegexRewrite(Spec):
    """An RE2 expression over the path, and what replaces its match."""

    match: str = ""
    rewrite: str = ""


class HttpRewrite(Spec):
    """New path or authority for the forwarded request."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HttpRetry(Spec):
    """How often and when a failed request is tried again."""

    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: BoolValue | None = None
    retry_ignore_previous_hosts: BoolValue | None = None
    backoff: Duration | None = None


class Percentage(Spec):
    """Between 0 and 100."""

    value: Double = 0.0


class Delay(Spec):
    """Hold requests back."""

    schema_one_of = (("fixedDelay", "exponentialDelay"),)

    percent: Int32 | None = None
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    percentage: Percentage | None = None


class Abort(Spec):
    """Answer requests with an error."""

    schema_one_of = (("httpStatus", "grpcStatus", "http2Error"),)

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    percentage: Percentage | None = None


class HttpFaultInjection(Spec):
    """Faults put in on purpose."""

    delay: Delay | None = None
    abort: Abort | None = None


class HttpMirrorPolicy(Spec):
    """A copy of the requests for another destination; its answers are dropped."""

    destination: Annotated[Destination | None, Schema(required=True)] = None
    percentage: Percentage | None = None


class CorsPolicy(Spec):
    """Which scripts of other origins may call."""

    allow_origin: tuple[str, ...] = ()
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None
    allow_credentials: BoolValue | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] | None = None


class HttpRoute(Spec):
    """One rule for HTTP requests."""

    name: str = ""
    match: tuple[HttpMatchRequest, ...] = ()
    route: tuple[HttpRouteDestination, ...] = ()
    redirect: HttpRedirect | None = None
    direct_response: HttpDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HttpRewrite | None = None
    timeout: Duration | None = None
    retries: HttpRetry | None = None
    fault: HttpFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HttpMirrorPolicy, ...] = ()
    mirror_percent: UInt32Value | None = None
    mirror_percent_old: UInt32Value | None = msgspec.field(name="mirror_percent", default=None)
    mirror_percentage: Percentage | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class RouteDestination(Spec):
    """A destination of connections, and its share of them."""

    destination: Annotated[Destination | None, Schema(required=True)] = None
    weight: Int32 = 0


class TlsMatchAttributes(Spec):
    """Conditions on a TLS connection that is passed on unopened."""

    sni_hosts: Annotated[tuple[str, ...], Schema(required=True)] = ()
    destination_subnets: tuple[str, ...] = ()
    port: UInt32 | None = None
    source_labels: dict[str, str] = {}
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TlsRoute(Spec):
    """One rule for TLS connections."""

    match: Annotated[tuple[TlsMatchAttributes, ...], Schema(required=True)] = ()
    route: tuple[RouteDestination, ...] = ()


class L4MatchAttributes(Spec):
    """Conditions on a TCP connection."""

    destination_subnets: tuple[str, ...] = ()
    port: UInt32 | None = None
    source_subnet: str = ""
    source_labels: dict[str, str] = {}
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TcpRoute(Spec):
    """One rule for TCP connections."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class VirtualService(Spec):
    """Rules for requests to some hosts, for the mesh or for gateways."""

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    http: tuple[HttpRoute, ...] = ()
    tls: tuple[TlsRoute, ...] = ()
    tcp: tuple[TcpRoute, ...] = ()
    export_to: tuple[str, ...] = ()
