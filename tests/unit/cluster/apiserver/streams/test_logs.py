"""`pods/log` over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.builders import streamserver
from tests.fakes.podruntime import FakePodRuntime

from varka.client.api import ApiError
from varka.cluster.apiserver.podruntime import LogOptions
from varka.cluster.apiserver.streams import logs

PATH = "/api/v1/namespaces/shop/pods/web-1/log"


@pytest.fixture
def runtime() -> FakePodRuntime:
    """A runtime whose log has two lines."""
    made = FakePodRuntime()
    made.log = [b"one\n", b"two\n"]
    return made


async def test_text(runtime: FakePodRuntime) -> None:
    """The log comes as plain text."""
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        answer = await client.get(PATH, params={"container": "app"})
        assert (answer.status, answer.content_type, await answer.text()) == (200, "text/plain", "one\ntwo\n")
    assert runtime.log_options == LogOptions(container="app")
    assert runtime.log_closed.is_set()


async def test_options(runtime: FakePodRuntime) -> None:
    """Every query parameter reaches the runtime."""
    query = {"container": "app", "tailLines": "5", "timestamps": "true", "sinceTime": "2026-01-02T03:04:05Z", "limitBytes": "100"}
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        await client.get(PATH, params=query)
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert runtime.log_options == LogOptions(container="app", tail_lines=5, timestamps=True, since=since, limit_bytes=100)


async def test_limit(runtime: FakePodRuntime) -> None:
    """No more than limitBytes come, whatever the runtime gives."""
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        assert await (await client.get(PATH, params={"container": "app", "limitBytes": "6"})).text() == "one\ntw"


async def test_follow_begins_before_the_first_line(runtime: FakePodRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Following a silent log answers at once, and ends in the runtime when the reader goes."""
    monkeypatch.setattr(logs, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(logs, "CHECK", 0.01)
    runtime.log = [None]
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        answer = await client.get(PATH, params={"container": "app", "follow": "true"})
        assert answer.status == 200
        answer.close()
        async with asyncio.timeout(5):
            await runtime.log_closed.wait()


async def test_error_of_the_runtime(runtime: FakePodRuntime) -> None:
    """What the runtime refuses arrives as a Status."""
    runtime.failure = ApiError(400, "BadRequest", 'container "app" in pod "web-1" is terminated')
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        answer = await client.get(PATH, params={"container": "app"})
        assert (answer.status, (await answer.json())["message"]) == (400, 'container "app" in pod "web-1" is terminated')


async def test_pod_without_node(runtime: FakePodRuntime) -> None:
    """A pod that is not scheduled has an empty log."""
    pod = streamserver.pod()
    del pod["spec"]["nodeName"]
    async with streamserver.serving(runtime, pod) as client:
        assert await (await client.get(PATH, params={"container": "app"})).text() == ""


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ({"tailLines": "-1"}, 422, 'PodLogOptions "" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0'),
        ({"limitBytes": "0"}, 422, 'PodLogOptions "" is invalid: limitBytes: Invalid value: 0: must be greater than 0'),
        ({"sinceSeconds": "0"}, 422, 'PodLogOptions "" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0'),
        ({"tailLines": "x"}, 400, 'converting (tailLines) failed: strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
async def test_bad_query(runtime: FakePodRuntime, query: dict[str, Any], code: int, message: str) -> None:
    """A query that means nothing is refused."""
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        answer = await client.get(PATH, params={"container": "app", **query})
        assert (answer.status, (await answer.json())["message"]) == (code, message)
