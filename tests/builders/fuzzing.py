"""Resources of every kind as hypothesis draws them from the schemas: mostly sensible, often odd, sometimes wrong in type.

Texts come from pools by the name of their field, so that hosts, paths and durations meet what is in the mesh; a part of
them comes from all pools and from nowhere.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.builders.meshobjects import endpoint_slice, istio, pod, service

from varka.resources import kinds, shapes
from varka.resources.kinds import Kind

HOSTS = (
    "web",
    "db",
    "web.fuzzed.svc.cluster.local",
    "api.default.svc.cluster.local",
    "*",
    "*.example.com",
    "a.example.com",
    "*.fuzzed.svc.cluster.local",
    "10.1.2.3",
)
ODD = (
    *(
        "",
        " ",
        "*",
        "**",
        "a" * 300,
        "münchen.de",
        "x\u0000y",
        "%s",
        "%REQ(x)%",
        "(a+)+$",
        "[",
        "(?=x)",
        "\\",
        "..",
        "a/../b",
        "{*}",
        "{**}/x",
        "-1",
        "1e9",
        "null",
    ),
    *("日本", "\ud7ff", "a\nb", "a\tb", "'", '"', "<x>", "0x1", "::1", "fe80::1%eth0", "1.2.3.4/33", "1.2.3.4/0", "::/0", "*.*", "*a", "a*", "*/*/*"),
)
POOLS: dict[str, tuple[str, ...]] = {
    "host": HOSTS,
    "hosts": (*HOSTS, "./*", "*/*", "fuzzed/web.fuzzed.svc.cluster.local", "~/*", "./a.example.com"),
    "sniHosts": HOSTS,
    "gateways": ("mesh", "gw", "fuzzed/gw", "default/gw"),
    "exportTo": (".", "*", "~", "fuzzed"),
    "subset": ("v1", "v2", "other"),
    "name": ("v1", "gw", "web", "http", "https", "tcp", "grpc", "db", "a-name"),
    "protocol": ("HTTP", "HTTPS", "TCP", "TLS", "GRPC", "HTTP2", "MONGO", "UDP", "http", "bogus"),
    "labels": ("web", "v1", "gw"),
    "matchLabels": ("web", "v1", "gw"),
    "regex": ("/a.*", ".*", "[a-z]+", "(a+)+$", "[", "(?=x)", "\\d{1,9}", "(", "a" * 2000),
    "prefix": ("/", "/a", "/a/b", "a"),
    "exact": ("/", "/a", "GET", "web", "x"),
    "uri": ("/", "/a"),
    "address": ("10.9.9.9", "10.9.9.0/24", "unix:///tmp/x", "a.example.com", "::1", "2001:db8::1"),
    "addresses": ("10.9.9.9", "10.9.9.0/24", "2001:db8::1", "240.240.0.9"),
    "bind": ("127.0.0.1", "0.0.0.0", "unix:///tmp/s", "::1"),
    "defaultEndpoint": ("127.0.0.1:8080", "0.0.0.0:8080", "unix:///tmp/app", "127.0.0.1:0"),
    "principals": ("cluster.local/ns/default/sa/web", "*", "*/sa/web", "cluster.local/*"),
    "namespaces": ("default", "fuzzed", "*", "fuz*"),
    "ipBlocks": ("10.0.0.0/8", "1.2.3.4", "::/0"),
    "paths": ("/", "/a*", "*/b", "/{*}/x", "/{**}", "/a/{*}/b/{**}"),
    "methods": ("GET", "POST", "*"),
    "ports": ("80", "0", "65536", "http"),
    "key": ("source.ip", "request.headers[x]", "request.auth.claims[a]", "request.auth.claims[a][b]", "destination.port", "connection.sni", "experimental.x"),
    "values": ("80", "10.0.0.0/8", "x", "*", "x*"),
    "issuer": ("https://issuer.example.com", "x"),
    "jwks": ('{"keys":[]}', "{}", "x"),
    "jwksUri": ("https://issuer.example.com/keys", "http://web.fuzzed.svc.cluster.local/keys"),
    "credentialName": ("cred", "kubernetes://cred"),
    "url": ("file:///tmp/x.wasm", "https://a.example.com/x.wasm", "oci://a.example.com/x"),
    "provider": ("x",),
    "authority": ("a.example.com", "web", "%REQ(x)%"),
    "expression": ("true", "response.code >= 500", "xds.cluster_name", "("),
    "bytes": ("aGVsbG8=", "!"),
    "path": ("/a", "/tmp/x"),
    "retryOn": ("5xx", "connect-failure,refused-stream", "503", "bogus"),
    "scheme": ("http", "https"),
    "weight": ("1",),
    "from": ("us-west/*", "*"),
    "sourceSubnet": ("10.0.0.0/8",),
    "destinationSubnets": ("10.0.0.0/8", "::/0"),
    "cipherSuites": ("ECDHE-RSA-AES256-GCM-SHA384", "bogus"),
    "subjectAltNames": ("spiffe://cluster.local/ns/default/sa/web", "a.example.com"),
    "serverCertificate": ("/etc/certs/tls.crt",),
    "privateKey": ("/etc/certs/tls.key",),
    "caCertificates": ("/etc/certs/ca.crt", "system"),
    "clientCertificate": ("/etc/certs/tls.crt",),
    "sni": ("a.example.com",),
    "network": ("n1",),
    "locality": ("region/zone/sub", "region"),
    "httpHeaderName": ("x-user",),
    "httpQueryParameterName": ("q",),
    "percentage": ("1",),
    "grpcStatus": ("UNAVAILABLE", "bogus"),
}
DURATIONS = ("1s", "0s", "10ms", "1h", "24h", "0.5s", "1ns", "5", "-1s", "99999h", "")
DURATION_NAMES = ("timeout", "delay", "interval", "time", "duration", "age", "backoff", "ttl", "period")
NUMBERS = (0, 1, 2, 50, 80, 100, 200, 404, 443, 8080, 9090, 15001, 65535, 65536, -1, 2**31 - 1, 2**32 - 1)
FITTING, STATUSES = (1, 2, 80, 443, 8080, 9090), (301, 302, 404, 503)
NEEDED: dict[str, tuple[str, ...]] = {
    "VirtualService": ("hosts", "http"),
    "HttpRoute": ("route",),
    "TlsRoute": ("match", "route"),
    "TcpRoute": ("route",),
    "Destination": ("host",),
    "Gateway": ("servers", "selector"),
    "Port": ("number", "name", "protocol"),
    "SidecarPort": ("number", "name", "protocol"),
    "PortSelector": ("number",),
    "ServicePort": ("number", "name", "protocol"),
    "ServiceEntry": ("hosts", "ports", "addresses"),
    "DestinationRule": ("host", "trafficPolicy"),
    "Subset": ("name", "labels"),
    "Sidecar": ("egress",),
    "WorkloadEntry": ("address",),
    "ConfigPatch": ("applyTo", "patch", "match"),
    "EnvoyFilter": ("configPatches",),
    "JwtRule": ("issuer",),
    "HttpMirrorPolicy": ("destination",),
    "HttpRouteDestination": ("destination", "weight"),
    "RouteDestination": ("destination", "weight"),
    "Patch": ("operation", "value"),
    "PortPolicy": ("port", "connectionPool"),
    "ConnectionPool": ("tcp",),
    "TcpPool": ("maxConnections",),
    "EgressListener": ("hosts",),
    "IngressListener": ("port", "defaultEndpoint"),
}
SENSIBLE: dict[str, tuple[str, ...]] = {
    "Destination.host": ("web", "db", "a.example.com", "api.default.svc.cluster.local"),
    "DestinationRule.host": ("web", "db", "a.example.com", "*.fuzzed.svc.cluster.local"),
    "EgressListener.hosts": ("./*", "*/*", "default/api.default.svc.cluster.local", "~/*", "*/*.example.com"),
    "VirtualService.hosts": ("web", "a.example.com", "*.example.com"),
    "ServiceEntry.hosts": ("a.example.com", "b.example.com", "*.example.com"),
    "Server.hosts": ("*", "a.example.com", "./a.example.com"),
    "ServiceEntry.addresses": ("10.9.9.9", "10.9.9.0/24", "2001:db8::1"),
    "WorkloadEntry.address": ("10.9.9.9", "a.example.com", "2001:db8::1"),
    "Port.protocol": ("HTTP", "TCP", "HTTP2", "GRPC", "TLS", "HTTPS"),
    "SidecarPort.protocol": ("HTTP", "TCP", "HTTP2", "GRPC"),
    "ServicePort.protocol": ("HTTP", "TCP", "HTTP2", "GRPC", "TLS"),
    "WorkloadEntry.labels": ("web", "v1"),
}
"""Where a whole class of texts makes sense for one field of one class only."""
TOO_RARE = {"targetRef", "targetRefs", "delegate", "IngressListener.tls", "egressProxy", "tunnel", "sha256", "Abort.grpcStatus"}
"""Fields that make most of their neighbours invalid."""
FREE: tuple[dict[str, Any], ...] = ({}, {"a": 1}, {"name": "envoy.filters.http.lua"}, {"x": [{}, None, "y"]})
_EVERY = tuple(dict.fromkeys(text for pool in POOLS.values() for text in pool))
_WRONG = st.sampled_from([None, 5, "x", [], {}, True, 1.5, [None], {"a": None}])


class Mood(StrEnum):
    """How much a resource makes sense."""

    TAME = "tame"
    """Mostly such that admission takes it: what is needed is there, and values fit their fields."""
    ODD = "odd"
    """Right in type, and wrong in anything else."""
    WILD = "wild"
    """With values of wrong types and fields that do not exist."""


def resource(kind: Kind, mood: Mood = Mood.ODD, namespace: str = "fuzzed") -> st.SearchStrategy[dict[str, Any]]:
    """A resource of a kind."""
    spec = _record(shapes.record(kind.spec), 0, mood)
    made = st.builds(
        lambda drawn, version: {**istio(kind.kind, "fuzz", drawn, namespace), "apiVersion": f"{kind.group}/{version}"}, spec, st.sampled_from(kind.versions)
    )
    return made


def examples(kind: Kind, count: int, mood: Mood = Mood.TAME) -> list[dict[str, Any]]:
    """The same resources every time."""
    found: list[dict[str, Any]] = []

    @settings(max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(resource(kind, mood))
    def keep(obj: dict[str, Any]) -> None:
        found.append(obj)

    keep()
    return found


def mesh(namespace: str = "fuzzed") -> list[dict[str, Any]]:
    """What the resources meet: two services and a gateway in their namespace, and one service in another."""
    ports = ({"name": "http", "port": 80}, {"name": "grpc", "port": 9090}, {"name": "tcp", "port": 443}, {"name": "any", "port": 8080})
    gateway = {"selector": {"app": "gw"}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]}
    return [
        service("web", *ports, namespace=namespace),
        service("db", {"name": "tcp-db", "port": 5432}, namespace=namespace, spec={"clusterIP": "10.96.0.9"}),
        service("api", namespace="default", spec={"clusterIP": "10.96.0.10"}),
        service("gw", *ports, namespace=namespace, spec={"clusterIP": "10.96.0.11"}),
        endpoint_slice("web", "10.244.0.1", namespace=namespace),
        endpoint_slice("api", "10.244.0.3"),
        pod("web", "10.244.0.1", namespace, labels={"version": "v1"}),
        pod("gw", "10.244.0.2", namespace),
        pod("api", "10.244.0.3"),
        istio("Gateway", "gw", gateway, namespace),
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (namespace, "default", "istio-system")),
    ]


def _record(record: shapes.Record, depth: int, mood: Mood) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: st.composite(_fields)(record, depth, mood))


def _fields(draw: Any, record: shapes.Record, depth: int, mood: Mood) -> dict[str, Any]:
    names = list(record.fields)
    draw(st.none())
    required = [name for name in names if record.fields[name].required]
    most = 6 if depth < 2 else 3
    chosen = {*draw(st.lists(st.sampled_from(names), max_size=most, unique=True) if names else st.just([])), *required}
    if mood is Mood.TAME:
        chosen = chosen | {name for name in NEEDED.get(record.type.__name__, ()) if name in record.fields}
        chosen = {name for name in chosen if not {name, f"{record.type.__name__}.{name}"} & TOO_RARE}
        if "route" in chosen and draw(st.integers(0, 3)):
            chosen -= {"redirect", "directResponse"}
        if not chosen and names:
            chosen = {draw(st.sampled_from(names))}
    for group in record.type.schema_one_of:
        given = [name for name in group if name in chosen]
        if len(given) > 1 and (mood is Mood.TAME or not draw(st.sampled_from([False] * 9 + [True]))):
            chosen -= set(given) - {draw(st.sampled_from(given))}
    made = {name: draw(_value(name, record.fields[name].shape, depth + 1, mood, record.type.__name__)) for name in names if name in chosen}
    if mood is Mood.WILD and draw(st.integers(0, 9)) == 0:
        made[draw(st.sampled_from(["bogus", "metadata", *names]) if names else st.just("bogus"))] = draw(_WRONG)
    return made


def _value(name: str, shape: shapes.Shape, depth: int, mood: Mood, owner: str) -> st.SearchStrategy[Any]:
    node = shape.node
    if isinstance(node, shapes.Record):
        found: st.SearchStrategy[Any] = _record(node, depth, mood)
    elif isinstance(node, shapes.Many):
        found = st.lists(
            _value(name, node.item, depth, mood, owner),
            min_size=int(mood is Mood.TAME),
            max_size=3 if depth < 3 else 2,
            unique_by=repr if mood is Mood.TAME else None,
        )
    elif isinstance(node, shapes.Keyed):
        keys = st.sampled_from(
            ("app", "version") if mood is Mood.TAME else ("app", "version", "x-h", "@request.auth.claims.a", "a.b/c", ":authority", "", "X Y", "80")
        )
        found = st.dictionaries(keys, _value(name, node.item, depth, mood, owner), max_size=2)
    elif isinstance(node, shapes.Free):
        found = st.sampled_from(FREE)
    else:
        found = _scalar(name, node, mood, owner)
    return st.one_of(found, found, found, found, found, _WRONG) if mood is Mood.WILD else found


def _scalar(name: str, node: shapes.Scalar, mood: Mood, owner: str) -> st.SearchStrategy[Any]:
    if node.values:
        return st.sampled_from(node.values)
    if node.type == "boolean":
        return st.booleans()
    tame = mood is Mood.TAME
    if node.type == "integer":
        return st.sampled_from(STATUSES if "tatus" in name or "Code" in name else FITTING) if tame else st.sampled_from(NUMBERS)
    if node.type == "number":
        return st.sampled_from((0.0, 1.0, 33.3, 100.0) if tame else (0.0, 1.0, 33.3, 100.0, 150.0, -1.0, 1e300))
    if any(part in name.lower() for part in DURATION_NAMES):
        return st.sampled_from(("1s", "10ms", "1h", "1.5s") if tame else DURATIONS)
    if tame and f"{owner}.{name}" in SENSIBLE:
        return st.sampled_from(SENSIBLE[f"{owner}.{name}"])
    sensible = st.sampled_from(POOLS.get(name, ("x", "web", "a.example.com", "/a") if tame else _EVERY))
    odd = st.one_of(st.sampled_from(ODD), st.sampled_from(_EVERY), st.text(max_size=8))
    return st.one_of(*[sensible] * (30 if tame else 4), odd)


KINDS = kinds.KINDS
