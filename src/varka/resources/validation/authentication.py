"""PeerAuthentication and RequestAuthentication: levels that fit together, and keys that can be found."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

from varka.resources import security as written
from varka.resources.parsing import Meta
from varka.resources.validation import names
from varka.resources.validation.findings import Findings

_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}
_HEADER = re.compile(r"[-_A-Za-z0-9]+")


def check_peer(spec: written.PeerAuthentication, meta: Meta, found: Findings) -> None:
    """Check a whole PeerAuthentication."""
    names.check_selector(spec.selector, "spec.selector", found)
    if spec.port_level_mtls and (spec.selector is None or not spec.selector.match_labels):
        found.error("spec.portLevelMtls", "portLevelMtls requires selector")
    for port in spec.port_level_mtls:
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            found.error(f"spec.portLevelMtls[{port}]", "port must be between 1-65535")


def check_request(spec: written.RequestAuthentication, meta: Meta, found: Findings) -> None:
    """Check a whole RequestAuthentication."""
    names.check_targets(spec.selector, spec.target_ref, spec.target_refs, found)
    for index, rule in enumerate(spec.jwt_rules):
        _check_rule(rule, f"spec.jwtRules[{index}]", found)


def _check_rule(rule: written.JwtRule, path: str, found: Findings) -> None:
    uri = rule.jwks_uri or rule.jwks_uri_old
    if not rule.issuer and not uri and not rule.jwks:
        found.error(path, "issuer or jwksUri must be set")
    if sum(map(bool, (rule.jwks, rule.jwks_uri, rule.jwks_uri_old))) > 1:
        found.error(path, "only one of jwks or jwksUri can be set")
    if uri:
        _check_uri(uri, f"{path}.jwksUri", found)
    if rule.jwks:
        _check_keys(rule.jwks, f"{path}.jwks", found)
    for name in ("audiences", "from_params", "from_cookies"):
        if "" in getattr(rule, name):
            found.error(f"{path}.{name}", "must not have an empty value")
    for index, header in enumerate(rule.from_headers):
        if not header.name:
            found.error(f"{path}.fromHeaders[{index}].name", "location header name must be non-empty string")
    for index, item in enumerate(rule.output_claim_to_headers):
        where = f"{path}.outputClaimToHeaders[{index}]"
        if not item.claim or not item.header:
            found.error(where, "outputClaimToHeaders header and claim value must be non-empty string")
        elif not _HEADER.fullmatch(item.header):
            found.error(f"{where}.header", f"{item.header!r} is not a valid header name")


def _check_uri(uri: str, path: str, found: Findings) -> None:
    try:
        parts = urlsplit(uri)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        found.error(path, f"{uri!r} is no URL with http:// or https://, a host and, if any, a numeric port")


def _check_keys(text: str, path: str, found: Findings) -> None:
    try:
        keys = json.loads(text)
    except ValueError as problem:
        found.error(path, f"is no JSON Web Key Set: {problem}")
        return
    if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
        found.error(path, "is no JSON Web Key Set: it needs a list 'keys'")
        return
    for index, key in enumerate(keys["keys"]):
        kind = key.get("kty") if isinstance(key, dict) else None
        if not isinstance(kind, str) or kind not in _MEMBERS:
            found.error(path, f"key {index} has no type that is known; use one of {', '.join(_MEMBERS)} in 'kty'")
        elif not all(key.get(member) for member in _MEMBERS[kind]):
            found.error(path, f"key {index} of type {kind} needs {', '.join(_MEMBERS[kind])}")
