from __future__ import annotations

import pytest
from tests.builders.meshobjects import Object, istio

from varka.resources import Severity, parse
from varka.resources.validation import validate

PAIR = {"serverCertificate": "/c", "privateKey": "/k"}


def _said(tls: Object, severity: Severity = Severity.ERROR) -> list[str]:
    server = {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["a.b"], "tls": tls}
    return [item.text for item in validate(parse(istio("Gateway", "g", {"servers": [server]}))) if item.severity is severity]


@pytest.mark.parametrize(
    ("tls", "text"),
    [
        (
            {"mode": "SIMPLE", "credentialName": "c", "tlsCertificates": [PAIR]},
            ": only one of credentialName, credentialNames, serverCertificate with privateKey, tlsCertificates should be specified",
        ),
        (
            {"mode": "SIMPLE", "tlsCertificates": [{"serverCertificate": "/c"}]},
            ".tlsCertificates[0].privateKey: SIMPLE TLS requires a private key or a credentialName",
        ),
        ({"mode": "OPTIONAL_MUTUAL", **PAIR}, ".caCertificates: MUTUAL TLS requires a client CA bundle or a credentialName"),
        (
            {"mode": "ISTIO_MUTUAL", "tlsCertificates": [PAIR]},
            ": ISTIO_MUTUAL TLS cannot have associated certificates or a credentialName; the mesh provides them",
        ),
        ({"mode": "SIMPLE", **PAIR, "caCrl": "/l"}, ".caCrl: CRL is not supported with SIMPLE TLS"),
    ],
)
def test_certificates_that_do_not_go_with_the_mode(tls: Object, text: str) -> None:
    """One source of certificates, whole, and none where the mesh has its own."""
    assert _said(tls) == [f"spec.servers[0].tls{text}"]


@pytest.mark.parametrize(
    ("tls", "text"),
    [
        ({"mode": "PASSTHROUGH", "credentialName": "c"}, ": PASSTHROUGH mode does not use certificates, they will be ignored"),
        (
            {"mode": "SIMPLE", **PAIR, "cipherSuites": ["AES128-GCM-SHA256"] * 2},
            ".cipherSuites: ignoring duplicate cipher suite 'AES128-GCM-SHA256'",
        ),
    ],
)
def test_what_has_no_effect_is_told(tls: Object, text: str) -> None:
    """And let in."""
    assert _said(tls) == []
    assert _said(tls, Severity.WARNING) == [f"spec.servers[0].tls{text}"]


@pytest.mark.parametrize("kind", ["literal", "header", "environment"])
def test_tags_say_something(kind: str) -> None:
    """A custom tag of a Telemetry has a value, or a name to read it from."""
    field = "value" if kind == "literal" else "name"
    spec = {"tracing": [{"customTags": {"t": {kind: {field: ""}}}}]}
    texts = [item.text for item in validate(parse(istio("Telemetry", "t", spec))) if item.severity is Severity.ERROR]
    assert [text for text in texts if "may not be empty" in text] == [
        f"spec.tracing[0].customTags[t].{kind}.{field}: {kind} tag {'value' if kind == 'literal' else 'name'} may not be empty"
    ]
