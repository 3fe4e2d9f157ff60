"""Random AuthorizationPolicies and requests out of a few words, so that they meet often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from msgspec.structs import replace

from varka.analysis.authorization.requests import Http, Request, Token
from varka.model.security import Action, AuthorizationPolicy, Authorizer, Condition, JwtRule, Operation, Rule, Source

ACCOUNTS = ("default/web", "default/admin", "shop/web", "shop-dev/web")
PRINCIPALS = tuple(f"cluster.local/ns/{one.split('/')[0]}/sa/{one.split('/')[1]}" for one in ACCOUNTS)
ADDRESSES = ("10.244.2.1", "10.244.2.130", "10.244.3.1")
HTTP_PORT, TCP_PORT = 8080, 9000
AUTHORIZER = Authorizer(name="ext", host="ext.default.svc.cluster.local", port=8000, headers_in_check=("x-ext",))
UNREACHABLE = "gone"

_SOURCES: dict[str, tuple[str, ...]] = {
    "principals": (*PRINCIPALS, "*", "*/sa/web", "cluster.local/ns/shop*", "old.local/ns/default/sa/web", "other/ns/default/sa/web"),
    "namespaces": ("default", "shop", "shop*", "*dev", "*", "s*p"),
    "service_accounts": (*ACCOUNTS, "default/we"),
    "ip_blocks": ("10.244.2.0/25", "10.244.2.130", "10.244.0.0/16", "2001:db8::/32", "nonsense"),
    "remote_ip_blocks": ("192.0.2.0/24", "10.244.2.0/24", "192.0.2.7"),
    "request_principals": ("*", "https://a/ann", "https://a/*", "*/ann", "*nn", "https://b/b*", "https*", "a"),
}
_OPERATIONS: dict[str, tuple[str, ...]] = {
    "hosts": ("web", "WEB", "web:8080", "*.example.com", "shop*", "*"),
    "methods": ("GET", "POST", "P*", "*", "get"),
    "paths": ("/", "/a", "/a/*", "*/b", "/a/{*}", "/{**}/b", "/a/{**}", "/{*}/b", "*", "/a/b/c", "/b", "/{**}/{*}", "/A*", "/a%2Fb"),
    "ports": (str(HTTP_PORT), str(TCP_PORT), "81", "70000"),
}
_CONDITIONS: dict[str, tuple[str, ...]] = {
    "request.headers[x-user]": ("ann", "a*", "*b", "*", ""),
    "request.headers[X-Role]": ("admin", "*"),
    "request.headers[:method]": ("GET", "POST"),
    "source.ip": _SOURCES["ip_blocks"],
    "remote.ip": _SOURCES["remote_ip_blocks"],
    "source.namespace": _SOURCES["namespaces"],
    "source.principal": _SOURCES["principals"],
    "source.serviceAccount": _SOURCES["service_accounts"],
    "request.auth.principal": _SOURCES["request_principals"],
    "request.auth.audiences": ("shop", "sh*", "*"),
    "request.auth.presenter": ("app", "*"),
    "request.auth.claims[groups]": ("readers", "wr*", "*"),
    "request.auth.claims[org][unit]": ("x", "*"),
    "request.auth.claims[scope]": ("read", "write", "read write"),
    "request.auth.claims[n]": ("3", "*"),
    "destination.ip": ("10.244.1.0/24", "10.244.9.0/24"),
    "destination.port": _OPERATIONS["ports"],
    "connection.sni": ("outbound*", "*", "*local", "web"),
    "experimental.envoy.filters.nothing[x]": ("y", "[y]", "*"),
    "request.header[x-user]": ("ann",),
}
_CLAIMS: tuple[dict[str, Any], ...] = (
    {"iss": "https://a", "sub": "ann", "aud": "shop", "groups": ["readers", "writers"], "azp": "app"},
    {"iss": "https://a", "sub": "bob", "aud": ["desk", "shop"], "org": {"unit": "x"}, "n": 3},
    {"iss": "https://a", "sub": "ann", "aud": "desk"},
    {"iss": "https://b", "sub": "bob", "scope": "read write", "groups": "readers"},
    {"iss": "https://b", "aud": []},
    {"iss": "https://c", "sub": "eve", "aud": "shop"},
)
PATHS = ("/", "/a", "/a/", "/a/b", "/a/b/c", "/A/b", "/a//b", "/x/../a/b", "/a/./b", "/a%2Fb", "/%61/b", "/a/%2e%2e/b", "/b", "/a/b?q=/c", "/a;x/b")
MODES = ("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The policies of one workload, and requests to it."""

    policies: tuple[AuthorizationPolicy, ...]
    jwt_rules: tuple[JwtRule, ...]
    normalization: str
    requests: tuple[Request, ...]


def case(random: Random, address: str, keys: str, requests: int) -> Case:
    """A case of a workload with this address, whose token rules have these keys."""
    policies = tuple(_policy(random, number) for number in range(random.choice((0, 1, 1, 2, 2, 3))))
    return Case(
        policies=policies,
        jwt_rules=_jwt_rules(random, keys),
        normalization=random.choice(MODES),
        requests=tuple(_request(random, address) for _ in range(requests)),
    )


def extreme(address: str) -> Case:
    """One ALLOW policy with 500 rules, most of which hold what nobody should write; only the last one matches."""
    strange = ("[", "(?=x)", "a{1000}{1000}", "(a+)+$", "b\u00fccher", "\u0000", "x" * 4000, "\u65e5\u672c.example.com", "*x*", "%", " ", "\r\nx: y")
    fields: list[Source | Operation | Condition] = []
    for word in strange:
        fields += [Source(principals=(word,)), Source(namespaces=(word, f"*{word}")), Source(service_accounts=(f"{word}/{word}",))]
        fields += [Source(request_principals=(f"{word}/{word}", f"*{word}")), Source(ip_blocks=(word,)), Source(remote_ip_blocks=(word,))]
        fields += [Operation(hosts=(word, f"*.{word}")), Operation(methods=(word,)), Operation(paths=(f"/{word}", f"/{word}/{{*}}")), Operation(ports=(word,))]
        keys = (f"request.headers[{word}]", f"request.auth.claims[{word}]", f"experimental.envoy.filters.x[{word}]", "connection.sni", word)
        fields += [Condition(key=key, values=(word,)) for key in keys]
    rules = [_holding(field) for field in fields]
    rules += [Rule(operations=(Operation(paths=(f"/page/{number}",)),)) for number in range(499 - len(rules))]
    last = Rule(operations=(Operation(paths=("/a/{*}",), methods=("GET",)),))
    request = Request(port=HTTP_PORT, principal=PRINCIPALS[0], source_ip=ADDRESSES[0], destination_ip=address, server_name="outbound_.80_._.web")
    asked = (Http(path="/a/b", host="web"), Http(path="/page/1", host="web"), Http(path="/none", host="web"), Http(method="POST", path="/a/b", host="web"))
    return Case(
        policies=(AuthorizationPolicy(name="large", namespace="default", rules=(*rules, last)),),
        jwt_rules=tuple(_strange_issuer(word) for word in strange),
        normalization="BASE",
        requests=tuple(replace(request, http=http) for http in asked),
    )


def _strange_issuer(word: str) -> JwtRule:
    return JwtRule(
        issuer=word,
        audiences=(word,),
        jwks=word,
        from_headers=((word, word), ("x-y", word)),
        from_params=(word,),
        from_cookies=(word,),
        output_payload_to_header=word,
        output_claim_to_headers=((word, word),),
        space_delimited_claims=(word,),
    )


def _holding(field: Source | Operation | Condition) -> Rule:
    if isinstance(field, Source):
        return Rule(sources=(field,))
    return Rule(operations=(field,)) if isinstance(field, Operation) else Rule(conditions=(field,))


def _some(random: Random, words: Sequence[str], most: int = 2) -> tuple[str, ...]:
    return tuple(random.sample(words, random.randint(1, min(most, len(words)))))


def _fields(random: Random, words: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    names = _some(random, tuple(words))
    return {f"not_{name}" if random.random() < 0.25 else name: _some(random, words[name]) for name in names}


def _condition(random: Random) -> Condition:
    key = random.choice(tuple(_CONDITIONS))
    values = _some(random, _CONDITIONS[key])
    return Condition(key=key, not_values=values) if random.random() < 0.3 else Condition(key=key, values=values)


def _rule(random: Random) -> Rule:
    return Rule(
        sources=tuple(Source(**_fields(random, _SOURCES)) for _ in range(random.choice((0, 0, 1, 2)))),
        operations=tuple(Operation(**_fields(random, _OPERATIONS)) for _ in range(random.choice((0, 0, 1, 2)))),
        conditions=tuple(_condition(random) for _ in range(random.choice((0, 0, 1, 2)))),
    )


def _policy(random: Random, number: int) -> AuthorizationPolicy:
    action = random.choice((Action.ALLOW, Action.ALLOW, Action.DENY, Action.DENY, Action.AUDIT, Action.CUSTOM))
    provider = random.choice((AUTHORIZER.name, AUTHORIZER.name, AUTHORIZER.name, UNREACHABLE)) if action is Action.CUSTOM else ""
    return AuthorizationPolicy(
        name=f"p{number}",
        namespace=random.choice(("default", "istio-system")),
        action=action,
        rules=tuple(_rule(random) for _ in range(random.choice((0, 1, 1, 1, 2, 3)))),
        provider=provider,
        authorizer=AUTHORIZER if provider == AUTHORIZER.name else None,
        dry_run=random.random() < 0.15,
    )


def _jwt_rules(random: Random, keys: str) -> tuple[JwtRule, ...]:
    choices = (
        JwtRule(issuer="https://a", jwks=keys, audiences=("shop",), forward_original_token=True),
        JwtRule(issuer="https://b", jwks=keys, from_headers=(("x-token", "Token "),), from_params=("token",), from_cookies=("session",)),
        JwtRule(issuer="https://b", jwks=keys, audiences=("desk",)),
        JwtRule(issuer="https://b", jwks=keys),
        JwtRule(issuer="https://c", jwks_uri="http://gone"),
    )
    return tuple(sorted(random.sample(choices, random.choice((0, 1, 2, 3))), key=lambda rule: rule.issuer))


def _request(random: Random, address: str) -> Request:
    principal = random.choice((*PRINCIPALS, ""))
    tcp = random.random() < 0.2
    return Request(
        port=TCP_PORT if tcp else HTTP_PORT,
        principal=principal,
        source_ip=random.choice(ADDRESSES),
        destination_ip=address,
        server_name="outbound_.80_._.web.default.svc.cluster.local" if principal else "",
        http=None if tcp else _http(random),
    )


def _http(random: Random) -> Http:
    headers = {}
    for name, values in {"x-user": ("ann", "bob"), "x-role": ("admin",), "x-forwarded-for": ("192.0.2.7", "10.9.9.9, 192.0.2.9"), "x-ext": ("no",)}.items():
        if random.random() < 0.4:
            headers[name] = random.choice(values)
    tokens: tuple[Token, ...] = ()
    if random.random() < 0.6:
        place = random.choice(("header authorization",) * 3 + ("header x-token", "param token", "cookie session", "param access_token"))
        tokens = (Token(claims=random.choice(_CLAIMS), place=place, valid=random.random() < 0.85),)
    hosts = ("web", "web:8080", "shop.example.com", "Shop.Example.com")
    return Http(method=random.choice(("GET", "POST", "PUT")), path=random.choice(PATHS), host=random.choice(hosts), headers=headers, tokens=tokens)


def remote_ip(request: Request) -> str:
    """Where a sidecar takes a request to come from: the last address that proxies before it have added."""
    added = request.http.headers.get("x-forwarded-for", "") if request.http is not None else ""
    return added.rpartition(",")[2].strip() or request.source_ip
