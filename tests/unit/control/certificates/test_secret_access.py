from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.fakes.clock import TurnedClock, settle

from varka.client.api import ApiError
from varka.control.certificates.secret_access import REFRESH_SECONDS, RETRY_SECONDS, SecretAccess


class Reviewer:
    """The part of an API server that answers SubjectAccessReviews."""

    def __init__(self) -> None:
        self.allowed = True
        self.broken = False
        self.asked: list[dict[str, Any]] = []

    async def create(self, _gvr: object, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body["spec"])
        if self.broken:
            raise ApiError(503, "ServiceUnavailable", "down")
        return {"status": {"allowed": self.allowed}}


@asynccontextmanager
async def running(reviewer: Reviewer, clock: TurnedClock, changed: Callable[[str], None]) -> AsyncIterator[SecretAccess]:
    access = SecretAccess(reviewer, changed, clock)  # type: ignore[arg-type]
    task = asyncio.create_task(access.run())
    try:
        yield access
    finally:
        task.cancel()


async def test_nobody_is_trusted_before_the_answer() -> None:
    """The first question is answered with no; the push that follows the answer asks again and gets yes."""
    reviewer, changes = Reviewer(), []  # type: Reviewer, list[str]
    async with running(reviewer, TurnedClock(), changes.append) as access:
        assert not access.allowed("gw", "ingress")
        await settle()
        assert (access.allowed("gw", "ingress"), changes) == (True, ["secret"])
    (asked,) = reviewer.asked
    assert asked["user"] == "system:serviceaccount:gw:ingress"
    assert asked["resourceAttributes"] == {"namespace": "gw", "verb": "list", "version": "v1", "resource": "secrets"}


async def test_a_refusal_is_asked_again() -> None:
    """A right that is granted later takes effect without a restart, and without anyone asking."""
    reviewer, clock, changes = Reviewer(), TurnedClock(), []  # type: Reviewer, TurnedClock, list[str]
    reviewer.allowed = False
    async with running(reviewer, clock, changes.append) as access:
        access.allowed("gw", "ingress")
        await settle()
        assert changes == []
        reviewer.allowed = True
        await clock.turn(RETRY_SECONDS + 0.1)
        assert (access.allowed("gw", "ingress"), changes) == (True, ["secret"])


@pytest.mark.parametrize("broken", [False, True])
async def test_a_right_that_is_taken_away_is_lost(broken: bool) -> None:
    """An answer is good for a while only; but an API server that is gone takes no rights away."""
    reviewer, clock = Reviewer(), TurnedClock()
    async with running(reviewer, clock, lambda _: None) as access:
        access.allowed("gw", "ingress")
        await settle()
        reviewer.allowed, reviewer.broken = False, broken
        await clock.turn(REFRESH_SECONDS + 1)
        access.allowed("gw", "ingress")
        await settle()
        assert access.allowed("gw", "ingress") is broken
