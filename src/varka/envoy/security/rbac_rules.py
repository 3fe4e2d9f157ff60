"""One rule of an AuthorizationPolicy as permissions and principals of Envoy's RBAC engine.

A rule says from whom, to what and when; everything that a request must fulfil becomes one term of an `and`. A term may
need HTTP (a method, a path, a token's claim): on a TCP listener there is no such thing, and what that means depends on
the action, so terms say it of themselves and `of_rule` decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.type.matcher.v3 import metadata_pb2, path_pb2, string_pb2, value_pb2

from varka.envoy import messages
from varka.envoy.security import request_principals
from varka.model.security import Action, AuthorizationPolicy, Condition, Operation, Rule, Source

Permission = rbac_pb2.Permission
Principal = rbac_pb2.Principal
JWT_FILTER = "envoy.filters.http.jwt_authn"
JWT_PAYLOAD = "payload"


class NeedsHttp(Exception):
    """The rule has a term that only an HTTP request can fulfil."""


@dataclass(slots=True)
class Terms:
    """The terms gathered so far; `tcp` and `skips` say what to do with one that needs HTTP."""

    tcp: bool
    skips: bool
    found: list[Any] = field(default_factory=list)

    def add(self, make: Callable[[str], Any], values: Iterable[str], *, negated: bool = False, http: bool = False) -> None:
        """Any of `values` must hold; negated, none of them may."""
        values = tuple(values)
        if not values:
            return
        if http and self.tcp:
            if self.skips:
                return
            raise NeedsHttp
        made = [make(value) for value in values]
        kind = type(made[0])
        either = kind(or_rules=Permission.Set(rules=made)) if kind is Permission else kind(or_ids=Principal.Set(ids=made))
        if negated:
            either = kind(not_rule=either) if kind is Permission else kind(not_id=either)
        self.found.append(either)

    def both(self, make: Callable[[str], Any], values: Iterable[str], not_values: Iterable[str], *, http: bool = False) -> None:
        self.add(make, values, http=http)
        self.add(make, not_values, negated=True, http=http)


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """The mesh's trust domain and its former names: a principal written with any of them means all of them."""

    own: str
    aliases: tuple[str, ...] = ()

    def expand(self, principals: Iterable[str]) -> tuple[str, ...]:
        result: list[str] = []
        for principal in principals:
            parts = principal.split("/")
            known = (self.own, *self.aliases)
            if len(parts) != 5 or not (parts[0] == "cluster.local" or any(matches(parts[0], domain) for domain in known)):
                result.append(principal)
                continue
            for domain in known:
                kept = parts[0].startswith("*") and matches(parts[0], domain)
                result.append(principal if kept else "/".join((domain, *parts[1:])))
        return tuple(dict.fromkeys(result))


def matches(pattern: str, value: str) -> bool:
    """Istio's `*`, `*suffix`, `prefix*` and exact forms."""
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def text(value: str, ignore_case: bool = False) -> Any:
    """A matcher for Istio's `*` forms; `*` asks for something to be there."""
    if value == "*":
        return string_pb2.StringMatcher(safe_regex=messages.regex(".+"))
    if value.startswith("*"):
        return string_pb2.StringMatcher(suffix=value[1:], ignore_case=ignore_case)
    if value.endswith("*"):
        return string_pb2.StringMatcher(prefix=value[:-1], ignore_case=ignore_case)
    return string_pb2.StringMatcher(exact=value, ignore_case=ignore_case)


def of_rule(policy: AuthorizationPolicy, rule: Rule, domains: Domains, tcp: bool) -> Any:
    """The rule as an `envoy.config.rbac.v3.Policy`, or None where a rule that needs HTTP has no place on TCP.

    On TCP a DENY or AUDIT rule is kept without its HTTP terms, so that it denies more rather than less; an ALLOW rule
    that needs HTTP could never be known to match, and goes.
    """
    skips = tcp and policy.action is not Action.ALLOW
    try:
        permissions = [_permission(operation, rule.conditions, tcp, skips) for operation in rule.operations or (None,)]
        principals = [_principal(source, rule.conditions, domains, tcp, skips) for source in rule.sources or (None,)]
    except NeedsHttp:
        return None
    return rbac_pb2.Policy(permissions=permissions, principals=principals)


def nobody() -> Any:
    """The policy that no request matches."""
    return rbac_pb2.Policy(permissions=[Permission(not_rule=Permission(any=True))], principals=[Principal(not_id=Principal(any=True))])


def _permission(operation: Operation | None, conditions: tuple[Condition, ...], tcp: bool, skips: bool) -> Any:
    terms = Terms(tcp, skips)
    if operation is not None:
        terms.both(_host, operation.hosts, operation.not_hosts, http=True)
        terms.both(_method, operation.methods, operation.not_methods, http=True)
        terms.both(_path, operation.paths, operation.not_paths, http=True)
        terms.both(_port, operation.ports, operation.not_ports)
    for condition in conditions:
        make = _permission_of_key(condition.key)
        if make is not None:
            terms.both(make, condition.values, condition.not_values)
    return Permission(and_rules=Permission.Set(rules=terms.found or [Permission(any=True)]))


def _principal(source: Source | None, conditions: tuple[Condition, ...], domains: Domains, tcp: bool, skips: bool) -> Any:
    terms = Terms(tcp, skips)
    if source is not None:
        terms.both(_identity, domains.expand(source.principals), domains.expand(source.not_principals))
        terms.both(request_principals.matcher, source.request_principals, source.not_request_principals, http=True)
        terms.both(_namespace, source.namespaces, source.not_namespaces)
        terms.both(_service_account, source.service_accounts, source.not_service_accounts)
        terms.both(_remote_ip, source.remote_ip_blocks, source.not_remote_ip_blocks)
        terms.both(_direct_ip, source.ip_blocks, source.not_ip_blocks)
    for condition in conditions:
        if condition.key == "source.principal":
            terms.both(_identity, domains.expand(condition.values), domains.expand(condition.not_values))
            continue
        found = _principal_of_key(condition.key)
        if found is not None:
            make, http = found
            terms.both(make, condition.values, condition.not_values, http=http)
    return Principal(and_ids=Principal.Set(ids=terms.found or [Principal(any=True)]))


def _permission_of_key(key: str) -> Callable[[str], Any] | None:
    simple = {"destination.ip": _destination_ip, "destination.port": _port, "connection.sni": _sni}
    if key in simple:
        return simple[key]
    if key.startswith("experimental.envoy.filters."):
        name, _, rest = key.removeprefix("experimental.").partition("[")
        return lambda value: Permission(metadata=_metadata(name, (rest.rstrip("]"),), value))
    return None


def _principal_of_key(key: str) -> tuple[Callable[[str], Any], bool] | None:
    """How to match a condition's key, and whether it needs HTTP."""
    simple: dict[str, tuple[Callable[[str], Any], bool]] = {
        "source.ip": (_direct_ip, False),
        "remote.ip": (_remote_ip, False),
        "source.namespace": (_namespace, False),
        "source.serviceAccount": (_service_account, False),
        "request.auth.principal": (request_principals.matcher, True),
        "request.auth.audiences": (lambda value: _claim(("aud",), value), True),
        "request.auth.presenter": (lambda value: _claim(("azp",), value), True),
    }
    if key in simple:
        return simple[key]
    if key.startswith("request.headers["):
        name = key.removeprefix("request.headers[").rstrip("]")
        return (lambda value: Principal(header=_header(name, value))), True
    if key.startswith("request.auth.claims["):
        path = tuple(key.removeprefix("request.auth.claims[").removesuffix("]").split("]["))
        return (lambda value: _claim(path, value)), True
    return None


def _header(name: str, value: str, ignore_case: bool = False) -> Any:
    if value == "*":
        return route_components_pb2.HeaderMatcher(name=name, present_match=True)
    return route_components_pb2.HeaderMatcher(name=name, string_match=text(value, ignore_case))


def _host(value: str) -> Any:
    return Permission(header=_header(":authority", value, ignore_case=True))


def _method(value: str) -> Any:
    return Permission(header=_header(":method", value))


def _path(value: str) -> Any:
    if "{*}" in value or "{**}" in value:
        template = uri_template_match_pb2.UriTemplateMatchConfig(path_template=value.replace("{**}", "**").replace("{*}", "*"))
        return Permission(uri_template=messages.extension("uri-template", template))
    return Permission(url_path=path_pb2.PathMatcher(path=text(value)))


def _port(value: str) -> Any:
    return Permission(destination_port=int(value))


def _destination_ip(value: str) -> Any:
    return Permission(destination_ip=messages.cidr(value))


def _sni(value: str) -> Any:
    return Permission(requested_server_name=text(value))


def _authenticated(matcher: Any) -> Any:
    return Principal(authenticated=Principal.Authenticated(principal_name=matcher))


def _identity(value: str) -> Any:
    """A principal is the SPIFFE ID without its scheme."""
    if value == "*":
        return _authenticated(text("*"))
    if value.startswith("*"):
        return _authenticated(string_pb2.StringMatcher(safe_regex=messages.regex("spiffe://.*" + _quoted(value[1:]))))
    return _authenticated(text("spiffe://" + value))


def _quoted(value: str) -> str:
    """Regular-expression text for a name; the dot is the only special character that a name may have."""
    return value.replace(".", r"\.")


def _namespace(value: str) -> Any:
    return _authenticated(string_pb2.StringMatcher(safe_regex=messages.regex(f".*/ns/{_quoted(value).replace('*', '.*')}/.*")))


def _service_account(value: str) -> Any:
    namespace, _, account = value.partition("/")
    return _authenticated(string_pb2.StringMatcher(safe_regex=messages.regex(f".*/ns/{_quoted(namespace)}/sa/{_quoted(account)}")))


def _direct_ip(value: str) -> Any:
    return Principal(direct_remote_ip=messages.cidr(value))


def _remote_ip(value: str) -> Any:
    return Principal(remote_ip=messages.cidr(value))


def _metadata(name: str, path: Iterable[str], value: str) -> Any:
    """`[a, b]` asks for an element of a list."""
    matcher = value_pb2.ValueMatcher(string_match=text(value))
    if value.startswith("[") and value.endswith("]"):
        element = value_pb2.ValueMatcher(string_match=text(value[1:-1]))
        matcher = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=element))
    return metadata_pb2.MetadataMatcher(filter=name, path=[metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in path], value=matcher)


def _claim(path: tuple[str, ...], value: str) -> Any:
    """A claim may be a string or a list of strings."""
    single = value_pb2.ValueMatcher(string_match=text(value))
    listed = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=single))
    segments = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in (JWT_PAYLOAD, *path)]
    either = value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=[single, listed]))
    return Principal(metadata=metadata_pb2.MetadataMatcher(filter=JWT_FILTER, path=segments, value=either))
