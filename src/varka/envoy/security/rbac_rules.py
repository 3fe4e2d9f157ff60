"""One rule of an AuthorizationPolicy as permissions and principals of Envoy's RBAC engine.

A rule says from whom, to what and when; everything that a request must fulfil becomes one term of an `and`. A term may
need HTTP (a method, a path, a token's claim): on a TCP listener there is no such thing, and what that means depends on
the action, so terms say it of themselves and `of_rule` decides.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.type.matcher.v3 import metadata_pb2, path_pb2, string_pb2, value_pb2
from msgspec import Struct, field

from varka.envoy import messages
from varka.envoy.security import request_principals
from varka.model.policies import condition_keys, path_templates
from varka.model.policies.condition_keys import Key
from varka.model.policies.trust_domains import Domains
from varka.model.security import Action, AuthorizationPolicy, Condition, Operation, Rule, Source

Permission = rbac_pb2.Permission
Principal = rbac_pb2.Principal
JWT_FILTER = "envoy.filters.http.jwt_authn"
JWT_PAYLOAD = "payload"
_BRACKETS = re.compile(r"[\w.\[\]-]*", re.ASCII)
_SPECIAL = re.compile(r"[][\\.^$|?*+(){}]")


class Unusable(Exception):
    """The rule has a term that only an HTTP request can fulfil, or a value that Envoy could not read."""


class Terms(Struct):
    """The terms gathered so far; `tcp` says whether there is no HTTP, `widens` what to do with a term that cannot be had.

    An ALLOW rule is given up: it would allow more without its term. Any other is kept without the term, or without the
    one value: it denies, audits and asks more rather than less.
    """

    tcp: bool
    widens: bool
    found: list[Any] = field(default_factory=list)

    def each(self, make: Callable[[str], Any], values: Iterable[str], not_values: Iterable[str], *, http: bool = False) -> None:
        """Any of `values` must hold and none of `not_values`; every value has a matcher of its own."""
        for given, negated in ((tuple(values), False), (tuple(not_values), True)):
            made = [item for value in given if (item := self._made(make, value, http)) is not None]
            if made:
                self._add(_either(made), negated)

    def whole(self, make: Callable[[tuple[str, ...]], Any], values: Iterable[str], not_values: Iterable[str], *, http: bool = False) -> None:
        """The same, where one matcher takes all values."""
        for given, negated in ((tuple(values), False), (tuple(not_values), True)):
            made = self._made(make, given, http) if given else None
            if made is not None:
                self._add(made, negated)

    def give_up(self) -> None:
        """A term that nobody knows is left out, or its rule is."""
        if not self.widens:
            raise Unusable

    def _made(self, make: Callable[[Any], Any], value: Any, http: bool) -> Any:
        try:
            if http and self.tcp:
                raise Unusable
            return make(value)
        except (Unusable, ValueError):
            self.give_up()
            return None

    def _add(self, term: Any, negated: bool) -> None:
        if negated:
            term = Permission(not_rule=term) if isinstance(term, Permission) else Principal(not_id=term)
        self.found.append(term)


def _either(made: list[Any]) -> Any:
    if isinstance(made[0], Permission):
        return Permission(or_rules=Permission.Set(rules=made))
    return Principal(or_ids=Principal.Set(ids=made))


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
    """The rule as an `envoy.config.rbac.v3.Policy`, or None where an ALLOW rule cannot be had as it is written.

    On TCP any other rule is kept without its HTTP terms, so that it denies more rather than less; an ALLOW rule that
    needs HTTP could never be known to match, and goes.
    """
    widens = policy.action is not Action.ALLOW
    try:
        permissions = [_permission(operation, rule.conditions, Terms(tcp, widens)) for operation in rule.operations or (None,)]
        principals = [_principal(source, rule.conditions, domains, Terms(tcp, widens)) for source in rule.sources or (None,)]
    except Unusable:
        return None
    return rbac_pb2.Policy(permissions=permissions, principals=principals)


def nobody() -> Any:
    """The policy that no request matches."""
    return rbac_pb2.Policy(permissions=[Permission(not_rule=Permission(any=True))], principals=[Principal(not_id=Principal(any=True))])


def _permission(operation: Operation | None, conditions: tuple[Condition, ...], terms: Terms) -> Any:
    if operation is not None:
        terms.each(_host, operation.hosts, operation.not_hosts, http=True)
        terms.each(_method, operation.methods, operation.not_methods, http=True)
        terms.each(_path, operation.paths, operation.not_paths, http=True)
        terms.each(_port, operation.ports, operation.not_ports)
    for condition in conditions:
        kind = condition_keys.of(condition.key)
        if kind in _PERMISSIONS:
            terms.each(_PERMISSIONS[kind], condition.values, condition.not_values)
        elif kind is Key.ENVOY_FILTER:
            terms.whole(partial(_filter_metadata, condition.key), condition.values, condition.not_values)
    return Permission(and_rules=Permission.Set(rules=terms.found or [Permission(any=True)]))


def _principal(source: Source | None, conditions: tuple[Condition, ...], domains: Domains, terms: Terms) -> Any:
    if source is not None:
        terms.each(_identity, domains.expand(source.principals), domains.expand(source.not_principals))
        terms.whole(request_principals.matcher, source.request_principals, source.not_request_principals, http=True)
        terms.each(_namespace, source.namespaces, source.not_namespaces)
        terms.each(_service_account, source.service_accounts, source.not_service_accounts)
        terms.each(_remote_ip, source.remote_ip_blocks, source.not_remote_ip_blocks)
        terms.each(_direct_ip, source.ip_blocks, source.not_ip_blocks)
    for condition in conditions:
        _principal_of(condition, domains, terms)
    return Principal(and_ids=Principal.Set(ids=terms.found or [Principal(any=True)]))


def _principal_of(condition: Condition, domains: Domains, terms: Terms) -> None:
    kind, values, not_values = condition_keys.of(condition.key), condition.values, condition.not_values
    if kind is None:
        terms.give_up()
    elif kind is Key.PRINCIPAL:
        terms.each(_identity, domains.expand(values), domains.expand(not_values))
    elif kind is Key.REQUEST_PRINCIPAL:
        terms.whole(request_principals.matcher, values, not_values, http=True)
    elif kind is Key.HEADER:
        terms.each(partial(_request_header, condition_keys.header(condition.key)), values, not_values, http=True)
    elif kind in {Key.CLAIM, Key.AUDIENCES, Key.PRESENTER}:
        terms.whole(partial(_claim, condition_keys.claim(condition.key)), values, not_values, http=True)
    elif kind in _PRINCIPALS:
        terms.each(_PRINCIPALS[kind], values, not_values)


def _header(name: str, value: str, ignore_case: bool = False) -> Any:
    if set("\0\r\n") & set(name + value):
        raise ValueError("a header holds no line break")
    if value == "*":
        return route_components_pb2.HeaderMatcher(name=name, present_match=True)
    return route_components_pb2.HeaderMatcher(name=name, string_match=text(value, ignore_case))


def _request_header(name: str, value: str) -> Any:
    return Principal(header=_header(name, value))


def _host(value: str) -> Any:
    return Permission(header=_header(":authority", value, ignore_case=True))


def _method(value: str) -> Any:
    return Permission(header=_header(":method", value))


def _path(value: str) -> Any:
    if path_templates.is_template(value):
        template = uri_template_match_pb2.UriTemplateMatchConfig(path_template=path_templates.to_envoy(value))
        return Permission(uri_template=messages.extension("uri-template", template))
    return Permission(url_path=path_pb2.PathMatcher(path=text(value)))


def _port(value: str) -> Any:
    if not 0 <= int(value) <= 65535:
        raise ValueError(f"{value} is no port")
    return Permission(destination_port=int(value))


def _cidr(value: str) -> Any:
    ipaddress.ip_network(value, strict=False)
    return messages.cidr(value)


def _destination_ip(value: str) -> Any:
    return Permission(destination_ip=_cidr(value))


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
    """Regular-expression text for a name. A dot is a dot; brackets, which no name has, stay as Istio leaves them if they can."""
    if _BRACKETS.fullmatch(value):
        try:
            re.compile(value)
            return value.replace(".", r"\.")
        except re.error:
            pass
    return _SPECIAL.sub(r"\\\g<0>", value)


def _namespace(value: str) -> Any:
    pattern = ".*".join(map(_quoted, value.split("*")))
    return _authenticated(string_pb2.StringMatcher(safe_regex=messages.regex(f".*/ns/{pattern}/.*")))


def _service_account(value: str) -> Any:
    """An ID may say more between namespace and account, and after the account."""
    namespace, _, account = map(_quoted, value.partition("/"))
    return _authenticated(string_pb2.StringMatcher(safe_regex=messages.regex(f"spiffe://.+/ns/{namespace}/(.+/|)sa/{account}(/.+)?")))


def _direct_ip(value: str) -> Any:
    return Principal(direct_remote_ip=_cidr(value))


def _remote_ip(value: str) -> Any:
    return Principal(remote_ip=_cidr(value))


_PERMISSIONS: dict[Key | None, Callable[[str], Any]] = {Key.DESTINATION_IP: _destination_ip, Key.DESTINATION_PORT: _port, Key.SNI: _sni}
_PRINCIPALS: dict[Key | None, Callable[[str], Any]] = {
    Key.SOURCE_IP: _direct_ip,
    Key.REMOTE_IP: _remote_ip,
    Key.NAMESPACE: _namespace,
    Key.SERVICE_ACCOUNT: _service_account,
}


def _metadata(name: str, path: Iterable[str], value: Any) -> Any:
    segments = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in path]
    return metadata_pb2.MetadataMatcher(filter=name, path=segments, value=value)


def _any_value(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=values))


def _filter_metadata(key: str, values: tuple[str, ...]) -> Any:
    """What another filter left behind; `[a]` asks for an element of a list."""
    name, path = condition_keys.envoy_filter(key)
    made = []
    for value in values:
        listed = value.startswith("[") and value.endswith("]")
        matcher = value_pb2.ValueMatcher(string_match=text(value.strip("[]") if listed else value))
        made.append(value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=matcher)) if listed else matcher)
    return Permission(metadata=_metadata(name, (path,), _any_value(made)))


def _claim(path: tuple[str, ...], values: tuple[str, ...]) -> Any:
    """A claim may be a string or a list of strings."""
    single = _any_value([value_pb2.ValueMatcher(string_match=text(value)) for value in values])
    listed = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=single))
    either = value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=[single, listed]))
    return Principal(metadata=_metadata(JWT_FILTER, (JWT_PAYLOAD, *path), either))
