"""The way to Prometheus: its HTTP API, `POST /api/v1/query`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import aiohttp
import msgspec

from varka.base import bodies
from varka.base.errors import VarkaError
from varka.telemetry.graph.building import Sample

_TIMEOUT = 20.0
MAX_ANSWER = 64 << 20


class PrometheusError(VarkaError):
    """Prometheus cannot be reached, or does not answer the question."""


class Metrics(Protocol):
    """Whom to ask for values."""

    async def query(self, promql: str, time: float) -> tuple[Sample, ...]: ...


class _Series(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Data(msgspec.Struct, rename="camel"):
    result_type: str = ""
    result: list[_Series] = msgspec.field(default_factory=list)


class _Answer(msgspec.Struct, rename="camel"):
    status: str
    data: _Data | None = None
    error: str = ""


_decoder = msgspec.json.Decoder(_Answer)


class Prometheus:
    """One server. `session` is opened by the caller; `token` gives a bearer token where one is asked for."""

    def __init__(self, session: aiohttp.ClientSession, url: str, *, token: Callable[[], str] | None = None) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._token = token

    @property
    def where(self) -> str:
        """What a person calls the server."""
        return self._url

    async def query(self, promql: str, time: float) -> tuple[Sample, ...]:
        """The instant vector of a question at a time; PrometheusError says what went wrong."""
        headers = {"authorization": f"Bearer {self._token()}"} if self._token else {}
        try:
            async with self._session.post(
                f"{self._url}/api/v1/query", data={"query": promql, "time": f"{time:.3f}"}, headers=headers, timeout=aiohttp.ClientTimeout(total=_TIMEOUT)
            ) as response:
                body = await bodies.read(response.content, MAX_ANSWER)
        except TimeoutError as error:
            raise PrometheusError(f"{self._url} did not answer within {_TIMEOUT:.0f} s") from error
        except aiohttp.ClientConnectorError as error:
            raise PrometheusError(error.os_error.strerror or "cannot connect") from error
        except (aiohttp.ClientError, OSError) as error:
            raise PrometheusError(str(error) or type(error).__name__) from error
        return samples(body, response.status)


def samples(body: bytes, status: int = 200) -> tuple[Sample, ...]:
    """The values in an answer of the API; PrometheusError when it is a refusal or no answer at all."""
    try:
        answer = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise PrometheusError(f"answer {status} is not that of a Prometheus: {body[:200].decode(errors='replace').strip()}") from error
    if answer.status != "success" or answer.data is None:
        raise PrometheusError(answer.error or f"answer {status} without data")
    return tuple(Sample(labels=series.metric, value=float(series.value[1])) for series in answer.data.result)
