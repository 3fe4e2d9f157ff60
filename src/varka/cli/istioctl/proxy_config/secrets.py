"""The secret table: every certificate that Envoy holds, read with its validity."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from varka.base.clock import rfc3339
from varka.identity import certificates, spiffe

HEADER = ("RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE")
_LISTS = (("dynamic_warming_secrets", "WARMING"), ("dynamic_active_secrets", "ACTIVE"), ("static_secrets", "ACTIVE"))


def rows(section: Mapping[str, Any], now: datetime) -> list[tuple[str, ...]]:
    """The table; a trust-domain column is there only when SPIFFE bundles name one."""
    found = [row for key, state in _LISTS for entry in section.get(key, []) for row in _entries(entry, state, now)]
    with_domain = any(row[1] == "CA" and row[-1] for row in found)
    return [(*HEADER, *(["TRUST DOMAIN"] if with_domain else [])), *(row if with_domain else row[:-1] for row in found)]


def _entries(entry: Mapping[str, Any], state: str, now: datetime) -> Iterator[tuple[str, ...]]:
    secret = entry.get("secret") or {}
    name = str(secret.get("name") or entry.get("name", ""))
    if "tls_certificate" in secret:
        pem = _bytes(secret["tls_certificate"].get("certificate_chain"))
        found = _row(name, "Cert Chain", state, pem, now)
        identity = spiffe.parse(certificates.facts(pem).spiffe_id) if found[4] else None
        domain = identity.trust_domain if identity else ""
        yield (*found, domain)
    elif "validation_context" in secret:
        yield from _roots(name, state, secret["validation_context"], now)
    else:
        yield (name, "", state, "false", "", "", "", "")


def _roots(name: str, state: str, context: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, ...]]:
    custom = (context.get("custom_validator_config") or {}).get("typed_config") or {}
    for domain in custom.get("trust_domains", []):
        yield (*_row(name, "CA", state, _bytes(domain.get("trust_bundle")), now), str(domain.get("name", "")))
    if not custom:
        yield (*_row(name, "CA", state, _bytes(context.get("trusted_ca")), now), "")


def _row(name: str, kind: str, state: str, pem: bytes, now: datetime) -> tuple[str, ...]:
    try:
        facts = certificates.facts(pem)
    except ValueError:
        return (name, kind, state, "false", "", "", "")
    valid = "true" if facts.not_before <= now <= facts.not_after else "false"
    return (name, kind, state, valid, facts.serial, rfc3339(facts.not_after), rfc3339(facts.not_before))


def _bytes(source: Mapping[str, Any] | None) -> bytes:
    try:
        return base64.b64decode((source or {}).get("inline_bytes", ""))
    except (binascii.Error, ValueError):
        return b""
