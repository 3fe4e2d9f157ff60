"""Runs inside a network namespace of its own: one real Envoy is fed the configurations of many generated resources, one after the other.

Prints one JSON list with what it refused, each with the resource; `test_fuzz` starts it and judges.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from tests.builders import fuzzing
from tests.builders.meshobjects import proxy, snapshot_of
from tests.fakes.discovery import Discovery, by_type

from varka import resources
from varka.base.wire import WireResource
from varka.envoy import bootstrap, generate
from varka.envoy.generate import ProxyConfig
from varka.model import views
from varka.model.view import Proxy
from varka.resources.validation import usable
from varka.xds import types

NODES = (proxy("web", "10.244.0.1", "fuzzed", version="v1"), proxy("gw", "10.244.0.2", "fuzzed", "router"))
PUSHED = (types.CLUSTER, types.LISTENER)
ASKED = (types.ENDPOINT, types.ROUTE, types.EXTENSION)
QUIET, PATIENCE = 0.06, 20.0
Part = Mapping[str, WireResource]


class Feed(Discovery):
    """Serves one Envoy; `apply` gives it another configuration and returns what it refuses of that."""

    def __init__(self) -> None:
        super().__init__()
        self._in: queue.Queue[Any] = queue.Queue()
        self._out: queue.Queue[Any] = queue.Queue()
        self._started: set[str] = set()
        self._wanted: dict[str, set[str]] = {kind: set() for kind in ASKED}
        self._held: dict[str, dict[str, str]] = {}
        self._pending: dict[str, str] = {}
        self._number = 0
        self._config = ProxyConfig()

    def _delta(self, requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        def read() -> None:
            for request in requests:
                self._in.put(request)

        threading.Thread(target=read, daemon=True).start()
        yield from iter(self._out.get, None)

    def apply(self, config: ProxyConfig) -> list[str]:
        """Send what differs from the last one, and answer what Envoy asks for, until it is quiet."""
        self._config = config
        refused: list[str] = []
        for kind in PUSHED:
            self._await(kind, refused)
            self._send(kind, by_type(config, kind))
            if kind == types.CLUSTER:
                self._warm()
            self._settle(refused)
        for kind in ASKED:
            known = by_type(config, kind)
            self._send(kind, {name: known[name] for name in self._wanted[kind] if name in known})
        self._settle(refused)
        return refused

    def _warm(self) -> None:
        """Endpoints again: a changed cluster waits for them, though Envoy does not ask for what it has subscribed to already."""
        self._held.pop(types.ENDPOINT, None)
        known = by_type(self._config, types.ENDPOINT)
        self._send(types.ENDPOINT, {name: known[name] for name in self._wanted[types.ENDPOINT] if name in known})

    def _await(self, kind: str, refused: list[str]) -> None:
        deadline = time.monotonic() + PATIENCE
        while kind not in self._started:
            assert time.monotonic() < deadline, f"Envoy never asked for {kind}"
            self._take(refused)

    def _settle(self, refused: list[str]) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._take(refused) or self._pending:
            assert time.monotonic() < deadline, f"no answer to {sorted(self._pending.values())}"

    def _take(self, refused: list[str]) -> bool:
        """Handle one request; False when none came for a while."""
        try:
            request = self._in.get(timeout=QUIET)
        except queue.Empty:
            return False
        kind = request.type_url
        if request.response_nonce:
            self._pending.pop(request.response_nonce, None)
        if request.HasField("error_detail"):
            refused.append(f"{types.SHORT[kind]}: {request.error_detail.message}")
            self._held.pop(kind, None)
        if kind in PUSHED and kind not in self._started:
            self._started.add(kind)
        elif kind in ASKED and request.resource_names_subscribe:
            self._wanted[kind] |= set(request.resource_names_subscribe)
            self._answer(kind, list(request.resource_names_subscribe))
        if kind in ASKED:
            self._wanted[kind] -= set(request.resource_names_unsubscribe)
        if kind == types.SECRET and request.resource_names_subscribe:
            self._answer(kind, list(request.resource_names_subscribe))
        return True

    def _answer(self, kind: str, names: list[str]) -> None:
        known = by_type(self._config, kind)
        held = self._held.setdefault(kind, {})
        response = self._response(kind)
        for name in names:
            if name in known:
                _add(response, known[name])
                held[name] = known[name].version
            else:
                response.removed_resources.append(name)
        self._out.put(response)

    def _send(self, kind: str, known: Part) -> None:
        held = self._held.get(kind, {})
        changed = [item for name, item in known.items() if held.get(name) != item.version]
        gone = [name for name in held if name not in known] if kind in PUSHED else []
        if changed or gone or (kind in PUSHED and kind not in self._held):
            response = self._response(kind)
            for item in changed:
                _add(response, item)
            response.removed_resources.extend(gone)
            self._out.put(response)
        self._held[kind] = {name: item.version for name, item in known.items()}

    def _response(self, kind: str) -> Any:
        self._number += 1
        nonce = str(self._number)
        self._pending[nonce] = kind
        return discovery_pb2.DeltaDiscoveryResponse(type_url=kind, nonce=nonce, system_version_info=nonce)


def _add(response: Any, item: WireResource) -> None:
    made = response.resources.add(name=item.name, version=item.version)
    made.resource.type_url, made.resource.value = item.type_url, item.body


def start(folder: Path, feed: Feed, node: Proxy) -> subprocess.Popen[bytes]:
    """Start Envoy as the agent does."""
    sds = str(folder / "sds.sock")
    port = feed.start(sds)
    settings = bootstrap.BootstrapSettings(
        proxy_type=node.type.value, pod=node.name, namespace="fuzzed", ip=node.ip, discovery_address=f"localhost:{port}", sds_socket=sds, nonce="n"
    )
    feed.add(settings.node_id, ProxyConfig(), "spiffe://cluster.local/ns/fuzzed/sa/web")
    (folder / "envoy.json").write_text(json.dumps(bootstrap.build(settings)))
    binary = shutil.which("envoy", path=str(Path(sys.executable).parent)) or "envoy"
    command = [binary, "-c", str(folder / "envoy.json"), "--disable-hot-restart", "--concurrency", "1", "--drain-time-s", "1", "-l", "error"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def feed_all(node: Proxy, count: int, kinds: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """One Envoy of a kind, from start to end: how many configurations it got, and what it refused."""
    mesh = fuzzing.mesh()
    base = snapshot_of(*mesh)
    rest = generate.generate(views.view(base, node))
    rows: list[dict[str, Any]] = []
    fed = 0
    with tempfile.TemporaryDirectory() as name:
        feed = Feed()
        envoy = start(Path(name), feed, node)
        try:
            assert feed.apply(rest) == []
            for kind in fuzzing.KINDS:
                for obj in fuzzing.examples(kind, count) if not kinds or kind.kind in kinds else ():
                    if usable(resources.parse(obj)).spec is None:
                        continue
                    fed += 1
                    snapshot = snapshot_of(*mesh, obj, previous=base)
                    about = {"kind": kind.kind, "node": node.type.value, "resource": obj}
                    try:
                        refused = feed.apply(generate.generate(views.view(snapshot, node)))
                        rows += [{**about, "refused": text} for text in refused]
                        if refused:
                            assert feed.apply(rest) == [], "a good configuration is refused after a bad one"
                        assert envoy.poll() is None, f"Envoy ended with {envoy.returncode}"
                    except AssertionError as problem:
                        raise AssertionError(f"{problem}: {about}") from problem
        finally:
            envoy.kill()
            envoy.wait(10)
            feed.stop()
    return fed, rows


def main() -> None:
    """Feed a sidecar and a gateway, and print."""
    count, kinds = int(sys.argv[1]), sys.argv[2:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    done = [feed_all(node, count, kinds) for node in NODES]
    json.dump({"fed": sum(fed for fed, _ in done), "rows": [row for _, rows in done for row in rows]}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
