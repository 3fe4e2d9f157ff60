"""The cluster's only process with a foot in the host's network: forwards loopback ports in, dials out, resolves names.

Everything it may do for the cluster is asked of it over one UNIX socket in the private state folder; everything it lets in
comes from 127.0.0.0/8. It never dials loopback, link-local or multicast addresses for a pod, so a pod reaches neither the
host's own services nor a cloud's metadata service.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from varka.base import logs
from varka.base.errors import VarkaError
from varka.cluster import forwards, handover, listeners, pump, settings, state

log = logging.getLogger("varka.relay")
_DIAL_PATIENCE = 10.0
_ACCEPT_PAUSE = 0.1

Connect = Callable[[], Awaitable[socket.socket]]


def may_dial(address: str) -> bool:
    """Whether a pod may reach `address` outside."""
    ip = ipaddress.ip_address(address)
    return not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified or (ip.is_reserved and ip.version == 4))


class Relay:
    """One cluster's relay; `api` listens on the API server's port, `permitted` decides about destinations outside."""

    def __init__(self, folder: state.StateFolder, config: settings.ClusterSettings, api: socket.socket, permitted: Callable[[str], bool] = may_dial) -> None:
        self._folder = folder
        self._config = config
        self._api = api
        self._permitted = permitted
        self._wanted: dict[str, forwards.Wish] = {}
        self._placed: dict[str, forwards.Place] = {}
        self._accepting: dict[str, list[asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        path = self._folder.relay_socket
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(1024)
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._accept(self._api, self._to_api))
            wanted, placed = forwards.read(self._folder.forwards_file)
            self._placed = {place.id: place for place in placed}
            self._want(wanted)
            await handover.serve(listener, self._answer)

    async def _answer(self, line: str, handles: list[int]) -> tuple[str, list[socket.socket]]:
        verb, _, rest = line.partition(" ")
        if verb == "DIAL":
            await self._dial(rest, handles)
            return "", []
        for number in handles:
            os.close(number)
        if verb == "FORWARDS":
            self._want(forwards.wishes(rest))
            return forwards.encode(list(self._placed.values())), []
        if verb == "RESOLVE":
            return " ".join(await self._resolve(rest)), []
        raise VarkaError(f"unknown request {verb}")

    async def _dial(self, target: str, handles: list[int]) -> None:
        """Connect to `address port` outside and carry what comes over the connection that was handed over."""
        if len(handles) != 1:
            for number in handles:
                os.close(number)
            raise VarkaError("a dial brings exactly one connection")
        inner = socket.socket(fileno=handles[0])
        address, _, port = target.partition(" ")
        try:
            outer = await self._connect_outside(address, int(port))
        except (OSError, TimeoutError, ValueError, VarkaError):
            pump.reset(inner)
            raise
        self._spawn(pump.join(inner, outer))

    async def _connect_outside(self, address: str, port: int) -> socket.socket:
        if not self._config.egress or not self._permitted(address):
            raise VarkaError(f"connections to {address} are not let out of the cluster")
        outer = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(_DIAL_PATIENCE):
                await asyncio.get_running_loop().sock_connect(outer, (address, port))
        except BaseException:
            outer.close()
            raise
        return outer

    async def _resolve(self, name: str) -> list[str]:
        if not self._config.egress:
            raise VarkaError("the cluster's way outside is closed")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)):
                return []
            raise VarkaError(f"the host cannot resolve {name}: {error.strerror}") from error
        return sorted({str(entry[4][0]) for entry in found})

    def _want(self, wanted: list[forwards.Wish]) -> None:
        """Make the listening sockets what `wanted` says; unchanged ones are not touched."""
        new = {wish.id: wish for wish in wanted}
        for gone in [key for key, wish in self._wanted.items() if new.get(key) != wish]:
            if gone not in new or self._wanted[gone].ports != new[gone].ports:
                self._drop(gone, forget=gone not in new)
        self._placed = {key: place for key, place in self._placed.items() if key in new}
        for key, wish in new.items():
            self._wanted[key] = wish
            if key not in self._accepting:
                self._listen(wish)
        forwards.write(self._folder.forwards_file, list(self._wanted.values()), list(self._placed.values()))

    def _listen(self, wish: forwards.Wish) -> None:
        place, opened = listeners.place(wish, self._placed.get(wish.id))
        self._placed[wish.id] = place
        for text in place.errors.values():
            log.warning("%s: %s", wish.id, text)
        self._accepting[wish.id] = [self._spawn(self._accept(listener, self._to_cluster(wish.id, port))) for port, listener in opened.items()]

    def _drop(self, key: str, *, forget: bool) -> None:
        for task in self._accepting.pop(key, []):
            task.cancel()
        del self._wanted[key]
        if forget:
            self._placed.pop(key, None)

    def _to_cluster(self, key: str, port: int) -> Connect:
        async def connect() -> socket.socket:
            target = self._wanted[key].target
            _, handles = await handover.ask(self._folder.node_socket, f"CONNECT {target} {port}", timeout=_DIAL_PATIENCE + 1)
            return socket.socket(fileno=handles[0])

        return connect

    async def _to_api(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await asyncio.get_running_loop().sock_connect(connection, str(self._folder.api_socket))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _accept(self, listener: socket.socket, connect: Connect) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.closing(listener):
            while True:
                try:
                    client, _ = await loop.sock_accept(listener)
                except OSError as error:
                    log.warning("accept: %s", error)
                    await asyncio.sleep(_ACCEPT_PAUSE)
                    continue
                self._spawn(self._let_in(client, connect))

    async def _let_in(self, client: socket.socket, connect: Connect) -> None:
        try:
            inner = await connect()
        except (OSError, TimeoutError, VarkaError, IndexError) as error:
            log.debug("connection refused: %s", error)
            pump.reset(client)
            return
        await pump.join(client, inner)

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        assert self._group is not None

        async def guarded() -> None:
            try:
                await work
            except OSError as error:
                log.debug("connection ended: %s", error)
            except Exception:
                log.exception("a forward failed")

        return self._group.create_task(guarded())


async def _main(folder: state.StateFolder, api: socket.socket) -> None:
    config = settings.load(folder.settings)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await Relay(folder, config, api).run()


def main() -> int:
    """`python -m varka.cluster.relay --state FOLDER --api-listener NUMBER`."""
    parser = argparse.ArgumentParser(description="forward loopback ports into a cluster")
    parser.add_argument("--state", required=True, type=Path)
    parser.add_argument("--api-listener", required=True, type=int, help="number of the socket that listens on the API server's port")
    given = parser.parse_args()
    logs.setup()
    api = socket.socket(fileno=given.api_listener)
    api.setblocking(False)
    uvloop.run(_main(state.StateFolder(given.state), api))
    return 0


if __name__ == "__main__":
    sys.exit(main())
