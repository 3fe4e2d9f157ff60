"""Which hosts of Istio's webhooks outside of the cluster DNS does not know."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from varka.client.api import Object

LOOKUP_SECONDS = 3.0


def unresolved(found: Iterable[Object]) -> frozenset[str]:
    """The names that a lookup did not find, or not in time; all are looked up at once."""
    hosts = {host for obj in found for host in _hosts(obj)}
    if not hosts:
        return frozenset()
    import asyncio  # takes a tenth of an analysis of files, most of which have no webhooks

    return asyncio.run(_unknown(hosts))


def _hosts(obj: Object) -> Iterable[str]:
    if not str(obj.get("kind")).endswith("WebhookConfiguration") or not str((obj.get("metadata") or {}).get("name")).startswith("istio"):
        return []
    found = (_host((webhook.get("clientConfig") or {}).get("url")) for webhook in obj.get("webhooks") or () if isinstance(webhook, dict))
    return [host for host in found if host]


def _host(url: object) -> str | None:
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return None


async def _unknown(hosts: Iterable[str]) -> frozenset[str]:
    import asyncio

    async def known(host: str) -> bool:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return bool(await asyncio.get_running_loop().getaddrinfo(host, None))
        except (OSError, TimeoutError, UnicodeError):
            return False

    ordered = sorted(hosts)
    results = await asyncio.gather(*map(known, ordered))
    return frozenset(host for host, found in zip(ordered, results, strict=True) if not found)
