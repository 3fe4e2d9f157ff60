"""The keys that tokens are checked with: where each rule's come from, and which are known.

A rule has its keys written in it, or names where they are served, or names nothing: then its issuer's OpenID
configuration says where. The control plane fetches them, or each proxy does; what is known comes in as a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct, field

from varka.model.security import JwtRule
from varka.model.services import Hostname, Service

DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT = 5.0


class FetchMode(StrEnum):
    """Who fetches keys that are not written in a rule (PILOT_JWT_ENABLE_REMOTE_JWKS)."""

    ISTIOD = "istiod"
    HYBRID = "hybrid"
    """The proxies from services of the mesh, the control plane from everywhere else."""
    ENVOY = "envoy"


class KeySource(Struct, frozen=True, kw_only=True, order=True):
    """Where keys are served: at `url`, or at the `jwks_uri` of the OpenID configuration that is served there."""

    url: str
    discovery: bool = False
    timeout: float = TIMEOUT


class KnownKeys(Struct, frozen=True, kw_only=True, eq=False):
    """What has been fetched: the text of a key set by its source. A new object whenever something is different."""

    mode: FetchMode = FetchMode.ISTIOD
    keys: Mapping[KeySource, str] = field(default_factory=dict)


NOTHING = KnownKeys()


def source(rule: JwtRule) -> KeySource | None:
    """Where the keys of a rule must be fetched; None when they stand in it."""
    if rule.jwks:
        return None
    timeout = rule.timeout or TIMEOUT
    if rule.jwks_uri:
        return KeySource(url=rule.jwks_uri, timeout=timeout)
    return KeySource(url=rule.issuer.rstrip("/") + DISCOVERY, discovery=True, timeout=timeout)


def cluster(rule: JwtRule, known: KnownKeys, services: Iterable[Service], domain: str) -> tuple[Hostname, int] | None:
    """Host and port of the service that the proxies fetch the rule's keys from; None when that is not theirs to do."""
    if known.mode is FetchMode.ISTIOD or rule.jwks or not rule.jwks_uri:
        return None
    host, port = _location(rule.jwks_uri)
    if not host:
        return None
    wanted = _readings(host, domain)
    found = next((service.hostname for service in services if service.hostname in wanted and service.port(port) is not None), None)
    if found is not None:
        return found, port
    return (host, port) if known.mode is FetchMode.ENVOY else None


def _location(url: str) -> tuple[Hostname, int]:
    try:
        parts = urlsplit(url)
        return Hostname((parts.hostname or "").lower()), parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return Hostname(""), 0


def _readings(host: Hostname, domain: str) -> tuple[str, ...]:
    """A name as it stands, and as a Kubernetes service of that name and namespace."""
    stem = host.removesuffix(".svc")
    return (host, f"{stem}.svc.{domain}") if stem.count(".") == 1 else (host,)
