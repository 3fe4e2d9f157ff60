"""ProxyConfig: settings that a sidecar takes when its pod starts."""

from __future__ import annotations

from typing import Annotated

from varka.resources.schema import Schema, Spec
from varka.resources.selection import WorkloadSelector


class ProxyImage(Spec):
    """Which flavour of the proxy image is used."""

    image_type: str = ""


class ProxyConfig(Spec):
    """Threads, environment and image of proxies."""

    selector: WorkloadSelector | None = None
    concurrency: Annotated[int | None, Schema(format="int32", minimum=0, nullable=True)] = None
    environment_variables: dict[str, Annotated[str, Schema(maxLength=2048)]] = {}
    image: ProxyImage | None = None
