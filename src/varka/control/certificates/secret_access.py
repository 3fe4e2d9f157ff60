"""Which proxies may have Secrets: those whose service account may list the Secrets of its own namespace.

The API server decides. Its answer is kept for a while; a proxy that is not known yet gets nothing, and is served by the
push that follows the answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Api

log = logging.getLogger("varka.control.certificates.secret_access")

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 5.0
"""How soon a refusal, or a question without an answer, is asked again."""
REVIEW_SECONDS = 10.0
MOST_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API server said, and until when (monotonic seconds) it counts."""

    allowed: bool
    until: float


class SecretAccess:
    """Asks and remembers. `allowed` is quick; `run` does the asking."""

    def __init__(self, api: Api, changed: Callable[[str], None], clock: Clock) -> None:
        self._api = api
        self._changed = changed
        self._clock = clock
        self._known: dict[tuple[str, str], Answer] = {}
        self._asked: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()

    def allowed(self, namespace: str, account: str) -> bool:
        """Whether a service account may have its namespace's Secrets, as far as is known; no until then."""
        key = (namespace, account)
        known = self._known.get(key)
        if known is None or known.until <= self._clock.monotonic():
            self._asked.add(key)
            self._wake.set()
        return known is not None and known.allowed

    async def run(self) -> None:
        """Answer questions until cancelled; refusals are asked again by themselves."""
        while True:
            await self._wait()
            now = self._clock.monotonic()
            due = {key for key, answer in self._known.items() if answer.until <= now and not answer.allowed}
            wanted, self._asked = sorted(self._asked | due), set()
            for namespace, account in wanted:
                await self._ask(namespace, account)

    async def _wait(self) -> None:
        refused = any(not answer.allowed for answer in self._known.values())
        if not refused:
            await self._wake.wait()
        else:
            waking, pausing = asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self._clock.sleep(RETRY_SECONDS))
            try:
                await asyncio.wait({waking, pausing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waking.cancel()
                pausing.cancel()
        self._wake.clear()

    async def _ask(self, namespace: str, account: str) -> None:
        before = self._known.get((namespace, account))
        try:
            async with asyncio.timeout(REVIEW_SECONDS):
                allowed = await self._review(namespace, account)
        except (VarkaError, TimeoutError) as error:
            log.warning("cannot find out whether %s/%s may read Secrets: %s", namespace, account, error)
            allowed = before is not None and before.allowed
        if not allowed and (before is None or before.allowed):
            log.warning("%s/%s may not list the Secrets of its namespace; its proxies get no credentials", namespace, account)
        if len(self._known) >= MOST_ACCOUNTS:
            self._known.pop(next(iter(self._known)))
        self._known[namespace, account] = Answer(allowed=allowed, until=self._clock.monotonic() + (REFRESH_SECONDS if allowed else RETRY_SECONDS))
        if allowed != (before is not None and before.allowed):
            self._changed("secret")

    async def _review(self, namespace: str, account: str) -> bool:
        spec = {
            "user": f"system:serviceaccount:{namespace}:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
            "resourceAttributes": {"namespace": namespace, "verb": "list", "version": "v1", "resource": "secrets"},
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": spec}
        answer = await self._api.create(resources.SUBJECT_ACCESS_REVIEWS, body)
        return bool((answer.get("status") or {}).get("allowed"))
