"""Who may connect and who may do what: mutual TLS modes, request authentication and authorization, as one workload meets them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field


class MutualTlsMode(StrEnum):
    """Of connections that a workload accepts; UNSET never leaves the merge."""

    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


class MutualTls(Struct, frozen=True, kw_only=True):
    """The merged PeerAuthentication of one workload: mesh, namespace, workload, then port."""

    mode: MutualTlsMode = MutualTlsMode.PERMISSIVE
    ports: Mapping[int, MutualTlsMode] = field(default_factory=dict)

    def of(self, port: int) -> MutualTlsMode:
        return self.ports.get(port, self.mode)


class Action(StrEnum):
    ALLOW = "ALLOW"
    DENY = "DENY"
    AUDIT = "AUDIT"
    CUSTOM = "CUSTOM"


class Source(Struct, frozen=True, kw_only=True):
    """All fields that are given must hold; within one field any value will do. Values keep Istio's `*` forms."""

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    """`namespace/name`, the namespace always given."""
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()


class Operation(Struct, frozen=True, kw_only=True):
    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class Condition(Struct, frozen=True, kw_only=True):
    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class Rule(Struct, frozen=True, kw_only=True):
    """Any of `sources` (none: any), any of `operations` (none: any), and all of `conditions`."""

    sources: tuple[Source, ...] = ()
    operations: tuple[Operation, ...] = ()
    conditions: tuple[Condition, ...] = ()


class CheckedBody(Struct, frozen=True, kw_only=True):
    """How much of a request's body an external authorizer is shown."""

    max_bytes: int
    allow_partial: bool = False
    as_bytes: bool = False


class Authorizer(Struct, frozen=True, kw_only=True):
    """An external authorizer of MeshConfig's `extensionProviders`; one with a `problem` cannot be asked."""

    name: str
    grpc: bool = False
    namespace: str = ""
    """Of the service; empty: any."""
    host: str = ""
    port: int = 0
    timeout: float | None = None
    fail_open: bool = False
    status_on_error: int = 0
    """0: Envoy's default, 403."""
    clear_route_cache: bool = False
    body: CheckedBody | None = None
    path_prefix: str = ""
    headers_in_check: tuple[str, ...] = ()
    """Header names here and below may be `prefix*` or `*suffix`."""
    additional_headers: tuple[tuple[str, str], ...] = ()
    upstream_on_allow: tuple[str, ...] = ()
    downstream_on_allow: tuple[str, ...] = ()
    downstream_on_deny: tuple[str, ...] = ()
    problem: str = ""


class AuthorizationPolicy(Struct, frozen=True, kw_only=True):
    """No rules: matches nothing (an ALLOW policy without rules denies all)."""

    name: str
    namespace: str
    action: Action = Action.ALLOW
    rules: tuple[Rule, ...] = ()
    provider: str = ""
    """Of a CUSTOM policy: the name of its authorizer."""
    authorizer: Authorizer | None = None
    """Of a CUSTOM policy in a view: whom to ask; None when the proxy cannot reach one of that name, which refuses."""
    dry_run: bool = False


class JwtRule(Struct, frozen=True, kw_only=True):
    """One issuer of tokens. In a view `jwks` holds the keys, or is empty when nobody could fetch them."""

    issuer: str
    audiences: tuple[str, ...] = ()
    jwks_uri: str = ""
    jwks: str = ""
    from_headers: tuple[tuple[str, str], ...] = ()
    """(header name, prefix)."""
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    output_payload_to_header: str = ""
    forward_original_token: bool = False
    output_claim_to_headers: tuple[tuple[str, str], ...] = ()
    """(header, claim)."""
    timeout: float | None = None
    fetch_from: tuple[str, int] | None = None
    """Host and port of the service that the proxy itself fetches `jwks_uri` from."""
    space_delimited_claims: tuple[str, ...] = ()
