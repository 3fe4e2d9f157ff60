"""One rule of an AuthorizationPolicy against one request: whether it matches, and if not, what is missing.

On a connection without HTTP, and for values that nobody can read, a rule of an ALLOW policy never matches, and one of
any other action is taken without the part in question.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from varka.analysis.authorization import paths
from varka.analysis.authorization.requests import Http, Request
from varka.model.policies import condition_keys, path_templates, trust_domains
from varka.model.policies.condition_keys import Key
from varka.model.policies.trust_domains import Domains
from varka.model.security import Condition, Operation, Rule, Source

Test = Callable[[str], bool]


class Subject(Struct, frozen=True, kw_only=True):
    """The request with all that is known of it; `claims` are those of its accepted token."""

    request: Request
    domains: Domains
    normalization: str = "BASE"
    claims: Mapping[str, Any] | None = None

    @property
    def http(self) -> Http:
        assert self.request.http is not None
        return self.request.http

    @property
    def path(self) -> str:
        """As policies see it."""
        return paths.normalized(self.http.path, self.normalization)


class _Impossible(Exception):
    """A rule of an ALLOW policy that can never match, with the reason."""


class _Terms(Struct, frozen=True, kw_only=True):
    subject: Subject
    widens: bool

    def unmet(self, name: str, test: Test, values: Iterable[str], not_values: Iterable[str], *, http: bool = False) -> str:
        """What is not fulfilled, in words; empty when all is."""
        for given, negated in ((tuple(values), False), (tuple(not_values), True)):
            if not given:
                continue
            found = self._tried(name, test, given, http)
            if found and any(found) is negated:
                return f"{name} must {'not ' if negated else ''}be {' or '.join(given)}"
        return ""

    def _tried(self, name: str, test: Test, given: tuple[str, ...], http: bool) -> list[bool]:
        if http and self.subject.request.http is None:
            if self.widens:
                return []
            raise _Impossible(f"{name} is known of HTTP requests only")
        found = []
        for value in given:
            try:
                found.append(test(value))
            except ValueError:
                if not self.widens:
                    raise _Impossible(f"{value!r} cannot be read as a value of {name}") from None
        return found

    def unknown(self, key: str) -> str:
        """What a condition with a key that does not exist means."""
        if not self.widens:
            raise _Impossible(f"there is no attribute {key}")
        return ""


def unmet(rule: Rule, subject: Subject, widens: bool) -> str:
    """Why the rule does not match the request; empty when it does. `widens` holds for all actions but ALLOW."""
    terms = _Terms(subject=subject, widens=widens)
    try:
        sources = [_source(item, terms) for item in rule.sources]
        operations = [_operation(item, terms) for item in rule.operations]
        conditions = [_condition(item, terms) for item in rule.conditions]
    except _Impossible as reason:
        return str(reason)
    for alternatives in (sources, operations):
        if alternatives and all(alternatives):
            return alternatives[0]
    return next(filter(None, conditions), "")


def _first(*problems: str) -> str:
    return next(filter(None, problems), "")


def _source(given: Source, terms: _Terms) -> str:
    """Each term is looked at, since one that can never be fulfilled makes the whole rule so."""
    request, expand = terms.subject.request, terms.subject.domains.expand
    return _first(
        terms.unmet("the caller", _principal(request), expand(given.principals), expand(given.not_principals)),
        terms.unmet("the token's principal", _token_principal(terms.subject), given.request_principals, given.not_request_principals, http=True),
        terms.unmet("the caller's namespace", _namespace(request), given.namespaces, given.not_namespaces),
        terms.unmet("the caller's service account", _account(request), given.service_accounts, given.not_service_accounts),
        terms.unmet("the remote address", _within(_remote(request)), given.remote_ip_blocks, given.not_remote_ip_blocks),
        terms.unmet("the source address", _within(request.source_ip), given.ip_blocks, given.not_ip_blocks),
    )


def _operation(given: Operation, terms: _Terms) -> str:
    subject = terms.subject
    return _first(
        terms.unmet("the host", lambda value: text(value.lower(), subject.http.host.lower()), given.hosts, given.not_hosts, http=True),
        terms.unmet("the method", lambda value: text(value, subject.http.method), given.methods, given.not_methods, http=True),
        terms.unmet("the path", lambda value: _path(value, subject.path), given.paths, given.not_paths, http=True),
        terms.unmet("the port", _port(subject.request), given.ports, given.not_ports),
    )


def _condition(given: Condition, terms: _Terms) -> str:
    kind, subject = condition_keys.of(given.key), terms.subject
    if kind is None:
        return terms.unknown(given.key)
    values, not_values = given.values, given.not_values
    if kind is Key.PRINCIPAL:
        values, not_values = subject.domains.expand(values), subject.domains.expand(not_values)
    return terms.unmet(given.key, _tests(kind, given.key, subject), values, not_values, http=kind in condition_keys.HTTP_ONLY)


def _tests(kind: Key, key: str, subject: Subject) -> Test:
    request = subject.request
    simple: dict[Key, Test] = {
        Key.SOURCE_IP: _within(request.source_ip),
        Key.REMOTE_IP: _within(_remote(request)),
        Key.DESTINATION_IP: _within(request.destination_ip),
        Key.DESTINATION_PORT: _port(request),
        Key.SNI: lambda value: text(value, request.server_name),
        Key.NAMESPACE: _namespace(request),
        Key.SERVICE_ACCOUNT: _account(request),
        Key.PRINCIPAL: _principal(request),
        Key.REQUEST_PRINCIPAL: _token_principal(subject),
        Key.ENVOY_FILTER: lambda value: False,
    }
    if kind in simple:
        return simple[kind]
    if kind is Key.HEADER:
        return lambda value: _header(condition_keys.header(key).lower(), value, subject.http)
    return lambda value: _claim(condition_keys.claim(key), value, subject.claims)


def text(pattern: str, value: str) -> bool:
    """Istio's `*`, which wants something to be there, `*suffix`, `prefix*` and exact forms."""
    return bool(value) if pattern == "*" else trust_domains.matches(pattern, value)


def _principal(request: Request) -> Test:
    return lambda value: bool(request.principal) and text(value, request.principal)


def _namespace(request: Request) -> Test:
    def test(value: str) -> bool:
        pattern = ".*".join(map(re.escape, value.split("*")))
        return re.fullmatch(f".*/ns/{pattern}/.*", request.principal) is not None

    return test


def _account(request: Request) -> Test:
    def test(value: str) -> bool:
        namespace, _, account = map(re.escape, value.partition("/"))
        return re.fullmatch(f".+/ns/{namespace}/(.+/|)sa/{account}(/.+)?", request.principal) is not None

    return test


def _within(address: str) -> Test:
    def test(value: str) -> bool:
        block = ipaddress.ip_network(value, strict=False)
        return bool(address) and ipaddress.ip_address(address) in block

    return test


def _remote(request: Request) -> str:
    return request.remote_ip or request.source_ip


def _port(request: Request) -> Test:
    def test(value: str) -> bool:
        if not 0 <= int(value) <= 65535:
            raise ValueError(value)
        return int(value) == request.port

    return test


def _path(value: str, path: str) -> bool:
    return path_templates.matches(value, path) if path_templates.is_template(value) else text(value, path)


def _header(name: str, value: str, http: Http) -> bool:
    if set("\0\r\n") & set(name + value):
        raise ValueError(value)
    special = {":method": http.method, ":authority": http.host, "host": http.host, ":path": http.path}
    found = special[name] if name in special else http.headers.get(name)
    return found is not None and (value == "*" or trust_domains.matches(value, found))


def _claim(path: tuple[str, ...], value: str, claims: Mapping[str, Any] | None) -> bool:
    found: Any = claims or {}
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return any(isinstance(item, str) and text(value, item) for item in (found if isinstance(found, list) else [found]))


def _token_principal(subject: Subject) -> Test:
    """A pattern is parted at its last slash, as an issuer is often a URL."""
    claims = subject.claims or {}
    issuer, account = claims.get("iss"), claims.get("sub")

    def test(value: str) -> bool:
        if not isinstance(issuer, str) or not isinstance(account, str):
            return False
        left, slash, right = value.rpartition("/")
        if value == "*":
            return bool(issuer and account)
        if value.startswith("*"):
            if not slash:
                return bool(issuer) and account.endswith(value[1:])
            return text(left, issuer) and account == right
        if value.endswith("*"):
            if not slash:
                return issuer.startswith(value[:-1]) and bool(account)
            return issuer == left and text(right, account)
        return (issuer, account) == ((left, right) if slash else (value, ""))

    return test
