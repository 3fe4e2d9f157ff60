"""The plug-ins as a whole, beside a fake API."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.fakes import clock
from tests.fakes.api import FakeApi

from varka.cluster.apiserver import plugins
from varka.cluster.apiserver.access import authorization, certificates, tokens
from varka.cluster.apiserver.registry import Registry
from varka.cluster.apiserver.request import Attributes, User

JANE = User(name="jane", groups=("system:authenticated",))


async def test_life(tmp_path: Path) -> None:
    """After `start` decisions rest on what is stored; while `run` goes on they follow changes and aggregated roles are written."""
    api = FakeApi()
    subject = {"kind": "User", "name": "jane"}
    binding = {"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [subject]}
    await api.create(authorization.CLUSTER_ROLE_BINDINGS, binding)
    parts = plugins.Plugins(certificates.ensure(tmp_path, datetime.now(UTC)))
    context: Any = SimpleNamespace(api=api, registry=Registry([]), runtime=None, extensions=parts.extensions)
    await parts.start(context)
    listing = Attributes(user=JANE, verb="list", resource="pods")
    assert parts.authorizer.authorize(listing)[0]
    running = asyncio.create_task(parts.run())
    try:
        await clock.settle(200)
        assert (api.one(authorization.CLUSTER_ROLES, "view") or {})["rules"]
        api.remove(authorization.CLUSTER_ROLE_BINDINGS, "b")
        await clock.settle()
        assert not parts.authorizer.authorize(listing)[0]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_mint(tmp_path: Path) -> None:
    """Tokens for projected volumes."""
    api = FakeApi()
    account = await api.create(tokens.SERVICE_ACCOUNTS, {"metadata": {"name": "web", "namespace": "shop"}}, "shop")
    parts = plugins.Plugins(certificates.ensure(tmp_path, datetime.now(UTC)))
    context: Any = SimpleNamespace(api=api, registry=Registry([]), runtime=None, extensions=parts.extensions)
    await parts.start(context)
    token, _ = await parts.mint("shop", "web", ["istio-ca"], 600)
    verified = await parts.signer.verify(api, token, ["istio-ca"])
    assert verified.user.uid == account["metadata"]["uid"]


async def test_order(tmp_path: Path) -> None:
    """`run` before `start` is a fault of the program."""
    parts = plugins.Plugins(certificates.ensure(tmp_path, datetime.now(UTC)))
    with pytest.raises(RuntimeError, match="start comes before run"):
        await parts.run()
