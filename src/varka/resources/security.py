"""The kinds of `security.istio.io`: who may connect, whose tokens count, and who may do what."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from varka.resources.schema import Duration, NonEmpty, Schema, Spec
from varka.resources.selection import ONE_TARGET, References, TargetReference, WorkloadSelector

_PORTS = (("self.all(key, 0 < int(key) && int(key) <= 65535)", "port must be between 1-65535"),)
_NEEDS_SELECTOR = (
    (
        "has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? self.selector.matchLabels : {}).size() > 0) : true",
        "portLevelMtls requires selector",
    ),
)
_JWKS = (("(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1", "only one of jwks or jwksUri can be set"),)
_URL = (('url(self).getScheme() in ["http", "https"]', "url must have scheme http:// or https://"),)
_ACCOUNTS = (
    (
        "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? "
        "(!has(self.principals) && !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true",
        "Cannot set serviceAccounts with namespaces or principals",
    ),
)
_Url = Annotated[str, Schema(minLength=1, maxLength=2048, rules=_URL)]
_AccountNames = Annotated[tuple[Annotated[str, Schema(maxLength=320)], ...], Schema(maxItems=16)]


class MutualTls(Spec):
    """Whether plain text, mTLS or both are accepted."""

    mode: Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] = "UNSET"


class PeerAuthentication(Spec):
    """Mutual TLS of workloads: for the mesh, a namespace, a workload or a port."""

    schema_rules = _NEEDS_SELECTOR

    selector: WorkloadSelector | None = None
    mtls: MutualTls | None = None
    port_level_mtls: Annotated[dict[str, MutualTls], Schema(minProperties=1, rules=_PORTS)] = {}


class JwtHeader(Spec):
    """A header that may carry the token, after a prefix."""

    name: Annotated[NonEmpty, Schema(required=True)] = ""
    prefix: str = ""


class ClaimToHeader(Spec):
    """A claim that is passed on as a header."""

    header: Annotated[NonEmpty, Schema(required=True, pattern="^[-_A-Za-z0-9]+$")] = ""
    claim: Annotated[NonEmpty, Schema(required=True)] = ""


class JwtRule(Spec):
    """One issuer, its keys, and where its tokens are looked for."""

    schema_rules = _JWKS

    issuer: NonEmpty = ""
    audiences: tuple[NonEmpty, ...] = ()
    jwks_uri: _Url = ""
    jwks_uri_old: _Url = msgspec.field(name="jwks_uri", default="")
    jwks: str = ""
    from_headers: tuple[JwtHeader, ...] = ()
    from_params: tuple[NonEmpty, ...] = ()
    from_cookies: tuple[NonEmpty, ...] = ()
    output_payload_to_header: str = ""
    forward_original_token: bool = False
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    timeout: Duration | None = None
    space_delimited_claims: Annotated[tuple[NonEmpty, ...], Schema(maxItems=64)] = ()


class RequestAuthentication(Spec):
    """Tokens that are checked when a request carries one."""

    schema_rules = ONE_TARGET

    selector: WorkloadSelector | None = None
    target_ref: TargetReference | None = None
    target_refs: References = ()
    jwt_rules: Annotated[tuple[JwtRule, ...], Schema(maxItems=4096)] = ()


class Source(Spec):
    """Properties of the caller."""

    schema_rules = _ACCOUNTS

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: _AccountNames = ()
    not_service_accounts: _AccountNames = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()


class From(Spec):
    """A caller."""

    source: Source | None = None


class Operation(Spec):
    """Properties of the request."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class To(Spec):
    """A request."""

    operation: Operation | None = None


class When(Spec):
    """A further attribute and the values it may have."""

    key: Annotated[str, Schema(required=True)] = ""
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class Rule(Spec):
    """Any of the callers, any of the requests, and all of the attributes."""

    from_: Annotated[tuple[From, ...], Schema(maxItems=512)] = msgspec.field(name="from", default=())
    to: tuple[To, ...] = ()
    when: tuple[When, ...] = ()


class ExtensionProvider(Spec):
    """An external authorizer by its name in the mesh settings."""

    name: str = ""


class AuthorizationPolicy(Spec):
    """Who may do what with a workload."""

    schema_one_of = (("provider",),)
    schema_rules = ONE_TARGET

    selector: WorkloadSelector | None = None
    target_ref: TargetReference | None = None
    target_refs: References = ()
    rules: Annotated[tuple[Rule, ...], Schema(maxItems=512)] = ()
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] = "ALLOW"
    provider: ExtensionProvider | None = None
