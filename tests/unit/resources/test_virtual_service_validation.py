from __future__ import annotations

import pytest
from tests.builders.meshobjects import Object, istio

from varka.resources import Severity, parse, validation

SHOP = [{"destination": {"host": "shop"}}]


def verdict(spec: Object) -> tuple[list[str], list[str]]:
    """The paths of what is refused and of what is warned of."""
    found = validation.validate(parse(istio("VirtualService", "v", spec)))
    return [item.path for item in found if item.severity is Severity.ERROR], [item.path for item in found if item.severity is Severity.WARNING]


def rule(**fields: object) -> tuple[list[str], list[str]]:
    """The verdict on one rule for the sidecars."""
    return verdict({"hosts": ["shop.example"], "http": [{"route": SHOP, **fields}]})


@pytest.mark.parametrize("value", ["plain", "100%%", "%REQ(x-trace)%", 'a %DYNAMIC_METADATA(["a", "b"])% b', "%START_TIME(%s)%"])
def test_values_of_headers_with_placeholders(value: str) -> None:
    """Placeholders are closed and a literal percent sign is doubled."""
    assert rule(headers={"request": {"set": {"x-a": value}}}) == ([], [])


@pytest.mark.parametrize("value", ["50%", "%REQ(x", "%PROTOCOL%%", "a\nb"])
def test_values_of_headers_that_envoy_refuses(value: str) -> None:
    """A percent sign alone, or a control character, would make proxies refuse the routes."""
    assert rule(headers={"response": {"add": {"x-a": value}}}) == (["spec.http[0].headers.response.add[x-a]"], [])


def test_only_requests_get_another_authority() -> None:
    """Host and :authority may be set in requests; other pseudo headers nowhere."""
    assert rule(headers={"request": {"add": {":authority": "a.example"}}}) == ([], [])
    assert rule(headers={"response": {"set": {"Host": "a.example"}}})[0] == ["spec.http[0].headers.response.set[Host]"]
    assert rule(headers={"request": {"remove": ["host"]}})[0] == ["spec.http[0].headers.request.remove[host]"]
    assert rule(headers={"request": {"set": {":path": "/"}}})[0] == ["spec.http[0].headers.request.set[:path]"]


def test_the_authority_is_set_once() -> None:
    """A rewrite and a header operation cannot both decide."""
    assert rule(rewrite={"authority": "a.example"}, headers={"request": {"set": {"host": "b.example"}}})[0] == ["spec.http[0]"]


@pytest.mark.parametrize(
    ("match", "path"),
    [
        ({"headers": {":path": {"exact": "/"}}}, "headers[:path]"),
        ({"headers": {"@request.claims": {"exact": "/"}}}, "headers[@request.claims]"),
        ({"uri": {"regex": ""}}, "uri.regex"),
        ({"uri": {"regex": "a" * 1025}}, "uri.regex"),
        ({"authority": {"prefix": ""}}, "authority.prefix"),
        ({"sourceNamespace": "a/b"}, "sourceNamespace"),
        ({"gateways": ["a/b/c"]}, "gateways[0]"),
        ({"headers": {"@request.auth.claims.group": {"exact": "x"}}}, ""),
    ],
)
def test_matches_that_are_refused(match: Object, path: str) -> None:
    """Names, texts and places that no request can have."""
    assert rule(match=[match])[0] == [f"spec.http[0].match[0].{path}".rstrip(".")]


def test_matches_of_everything() -> None:
    """An empty prefix of the path holds always; `*` says that a header must be absent."""
    assert rule(match=[{"uri": {"prefix": ""}, "withoutHeaders": {"x-a": {"regex": "*"}}}]) == ([], [])


def test_claims_need_gateways_alone() -> None:
    """Sidecars do not look at claims, so a rule for both is refused."""
    spec = {"hosts": ["shop.example"], "http": [{"match": [{"headers": {"@request.auth.claims[group]": {"exact": "x"}}}], "route": SHOP}]}
    assert verdict({**spec, "gateways": ["edge/public"]}) == ([], [])
    assert verdict({**spec, "gateways": ["edge/public", "mesh"]})[0] == ["spec.http[0].match[0]"]


@pytest.mark.parametrize(
    ("retries", "paths"),
    [
        ({"attempts": 3, "retryOn": "5xx,503,unavailable"}, []),
        ({"attempts": 3, "retryOn": "5xx, reset"}, ["spec.http[0].retries.retryOn"]),
        ({"attempts": 3, "retryOn": "never"}, ["spec.http[0].retries.retryOn"]),
        ({"attempts": 0}, []),
        ({"attempts": 0, "perTryTimeout": "1s"}, ["spec.http[0].retries"]),
    ],
)
def test_retries(retries: Object, paths: list[str]) -> None:
    """Policies are Envoy's names or statuses; no attempts go with nothing else."""
    assert rule(retries=retries) == (paths, [])


def test_durations_are_whole_milliseconds() -> None:
    """Envoy's timers know nothing finer."""
    assert rule(timeout="1.5s") == ([], [])
    assert rule(timeout="1500us")[0] == ["spec.http[0].timeout"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"abort": {"grpcStatus": "UNAVAILABLE"}}, ([], [])),
        ({"abort": {"grpcStatus": "BROKEN"}}, (["spec.http[0].fault.abort.grpcStatus"], [])),
        ({"abort": {"http2Error": "x"}}, (["spec.http[0].fault.abort.http2Error"], [])),
        ({"abort": {"percentage": {"value": 7}}}, ([], ["spec.http[0].fault.abort"])),
        ({"delay": {"exponentialDelay": "1s"}}, (["spec.http[0].fault.delay.exponentialDelay"], [])),
        ({"delay": {"fixedDelay": "1s", "percentage": {"value": 0.00002}}}, (["spec.http[0].fault.delay.percentage"], [])),
    ],
)
def test_faults(fault: Object, expected: tuple[list[str], list[str]]) -> None:
    """What no proxy can do is refused; a fault that does nothing is warned of."""
    assert rule(fault=fault) == expected


@pytest.mark.parametrize(
    ("cors", "paths"),
    [
        ({"allowOrigins": [{"exact": ""}]}, ["spec.http[0].corsPolicy.allowOrigins[0]"]),
        ({"allowHeaders": ["*"]}, []),
        ({"exposeHeaders": ["a b"]}, ["spec.http[0].corsPolicy.exposeHeaders[0]"]),
        ({"maxAge": "1.5s"}, ["spec.http[0].corsPolicy.maxAge"]),
    ],
)
def test_cors(cors: Object, paths: list[str]) -> None:
    """Browsers count whole seconds and know headers by name."""
    assert rule(corsPolicy=cors) == (paths, [])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"redirect": {"redirectCode": 302}}, (["spec.http[0].redirect"], [])),
        ({"redirect": {"port": 70000}}, (["spec.http[0].redirect.port"], [])),
        ({"redirect": {"derivePort": "FROM_REQUEST_PORT"}}, ([], [])),
        ({"directResponse": {"status": 200}, "rewrite": {"uri": "/"}}, (["spec.http[0].rewrite"], [])),
        ({"directResponse": {"status": 200, "body": {"string": "x" * 110_000}}}, ([], ["spec.http[0].directResponse.body"])),
        ({"directResponse": {"status": 200, "body": {"string": "x" * 1_100_000}}}, (["spec.http[0].directResponse.body"], [])),
    ],
)
def test_answers_of_the_proxy(answer: Object, expected: tuple[list[str], list[str]]) -> None:
    """Redirects lead somewhere else; answers are small and alone."""
    assert verdict({"hosts": ["shop.example"], "http": [answer]}) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["edge/public", "local"], ([], [])),
        (["edge/a.b"], (["spec.gateways[0]"], [])),
        (["./public"], (["spec.gateways[0]"], [])),
        (["under_score"], (["spec.gateways[0]"], [])),
        (["public.edge.svc"], ([], ["spec.gateways[0]"])),
    ],
)
def test_names_of_gateways(names: list[str], expected: tuple[list[str], list[str]]) -> None:
    """A namespace and a name, a name alone, or the older domain name."""
    assert verdict({"hosts": ["shop.example"], "gateways": names, "http": [{"route": SHOP}]}) == expected


def test_names_of_calls_between_networks() -> None:
    """The server name under which a gateway passes mesh traffic on is taken at gateways, and only there."""
    name = "outbound_.443_._.shop.mesh"
    spec = {"hosts": [name], "tls": [{"match": [{"sniHosts": [name]}], "route": SHOP}]}
    assert verdict({**spec, "gateways": ["edge/public"]}) == ([], [])
    assert verdict(spec)[0][0] == "spec.hosts[0]"


@pytest.mark.parametrize("given", [["~"], [".", "default"], ["*", "a"]])
def test_namespaces_to_export_to(given: list[str]) -> None:
    """Rules are exported to somebody, and to each namespace once."""
    assert len(verdict({"hosts": ["shop.example"], "http": [{"route": SHOP}], "exportTo": given})[0]) == 1
