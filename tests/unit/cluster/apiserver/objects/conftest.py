"""A started server without sockets, for tests of verbs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from varka.cluster.apiserver.server import ApiServer, ServerSettings


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """The server; pods need no service account."""
    started = ApiServer(ServerSettings(store=tmp_path / "store.db", needs_account=False))
    await started.start()
    yield started
    await started.stop()
