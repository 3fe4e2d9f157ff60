from __future__ import annotations

import pytest
from tests.builders.meshobjects import Object, istio

from varka.resources import Severity, parse, validation
from varka.resources.validation import validate


def _errors(obj: Object) -> list[str]:
    return [item.text for item in validate(parse(obj)) if item.severity is Severity.ERROR]


def _warnings(obj: Object) -> list[str]:
    return [item.text for item in validate(parse(obj)) if item.severity is Severity.WARNING]


def _route(**changes: object) -> Object:
    return istio("VirtualService", "v", {"hosts": ["a.b"], "http": [{"route": [{"destination": {"host": "c"}}], **changes}]})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"timeout": "5"}, "spec.http[0].timeout: '5' is not a duration: it lacks a unit such as s"),
        ({"timeout": "0s"}, "spec.http[0].timeout: must be a valid duration greater than 1ms"),
        ({"redirect": {"uri": "/"}}, "spec.http[0]: HTTP route cannot contain both route and redirect"),
        ({"fault": {"abort": {"httpStatus": 700}}}, "spec.http[0].fault.abort.httpStatus: HTTP status 700 is not in range 200-599"),
        ({"match": [{"uri": {"exact": "/", "prefix": "/"}}]}, "spec.http[0].match[0].uri: only one of exact, prefix can be set"),
        ({"retries": {"attempts": -1}}, "spec.http[0].retries.attempts: attempts cannot be negative"),
    ],
)
def test_http_rules(changes: Object, text: str) -> None:
    """A rule that cannot work is refused, with the field in question."""
    assert _errors(_route(**changes)) == [text]


def test_unreachable_rule() -> None:
    """A rule behind one that takes every request is warned of."""
    obj = istio("VirtualService", "v", {"hosts": ["a.b"], "http": [{"route": [{"destination": {"host": "c"}}]}] * 2})
    assert _warnings(obj) == ["spec.http[1]: virtualService rule #1 not used (only the last rule can have no matches)"]


def test_weights_that_send_nothing() -> None:
    """Several destinations without a weight get no request at all."""
    obj = istio("VirtualService", "v", {"hosts": ["a.b"], "http": [{"route": [{"destination": {"host": "c"}}, {"destination": {"host": "d"}}]}]})
    assert _errors(obj) == ["spec.http[0].route: total destination weight = 0"]


def test_gateway_needs_certificates() -> None:
    """A server that terminates TLS needs a certificate or a credentialName."""
    server = {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["*"], "tls": {"mode": "SIMPLE"}}
    assert _errors(istio("Gateway", "g", {"servers": [server]})) == [
        "spec.servers[0].tls.serverCertificate: SIMPLE TLS requires a server certificate or a credentialName",
        "spec.servers[0].tls.privateKey: SIMPLE TLS requires a private key or a credentialName",
    ]
    named = {**server, "tls": {"mode": "SIMPLE", "credentialName": "c"}}
    assert _errors(istio("Gateway", "g", {"servers": [named]})) == []


def test_unknown_attribute_of_a_condition() -> None:
    """A condition on an attribute that does not exist is refused."""
    obj = istio("AuthorizationPolicy", "a", {"rules": [{"when": [{"key": "request.header[x]", "values": ["y"]}]}]})
    assert _errors(obj) == ["spec.rules[0].when[0].key: unknown attribute: request.header[x]"]


def test_errors_come_first() -> None:
    """Errors stand before warnings, whatever was found first."""
    spec = {"host": "a", "exportTo": ["A b"], "trafficPolicy": {"outlierDetection": {"consecutiveErrors": 1}}}
    assert [item.severity for item in validate(parse(istio("DestinationRule", "d", spec)))] == [Severity.ERROR, Severity.WARNING]


def test_kubernetes_objects_pass() -> None:
    """Only Istio's kinds are judged here."""
    assert validate(parse({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})) == ()


def test_nobody_acts_on_what_admission_refuses() -> None:
    """An invalid resource that was stored all the same has no spec to act on, but says why; policies stay, since leaving one out could let somebody in."""
    bad = istio("VirtualService", "v", {"hosts": ["a.b"], "http": [{"route": [{"destination": {"host": ""}}]}]})
    left_out = validation.usable(parse(bad))
    assert left_out.spec is None and left_out.failed
    good = parse(istio("VirtualService", "v", {"hosts": ["a.b"], "http": [{"route": [{"destination": {"host": "c"}}]}]}))
    assert validation.usable(good) is good
    policy = parse(istio("AuthorizationPolicy", "p", {"action": "DENY", "rules": [{"when": [{"key": "bogus"}]}]}))
    assert validation.usable(policy) is policy
