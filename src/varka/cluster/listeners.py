"""The relay's listening sockets: which loopback address and which ports a service gets on the host.

A service gets 127.0.0.1 with its own ports when all of them are free, otherwise the next address of 127.0.0.0/8 where they
are. Ports that this user may not listen on (below 1024 without root), or that are taken everywhere, are replaced by any free
port of 127.0.0.1, and the place says so.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from varka.cluster import forwards

ADDRESSES = ("127.0.0.1", *(f"127.0.0.{number}" for number in range(2, 33)))
Bind = Callable[[str, int], socket.socket]


def bind(address: str, port: int) -> socket.socket:
    """A listening TCP socket; OSError when the port is not to be had."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def place(wish: forwards.Wish, before: forwards.Place | None, bind: Bind = bind) -> tuple[forwards.Place, dict[int, socket.socket]]:
    """Find a place for `wish`, the one it had `before` if possible; the sockets are listening, by wanted port."""
    if before and (opened := _open_again(wish, before, bind)) is not None:
        return before, opened
    candidates = ADDRESSES[:1] if wish.fixed else ADDRESSES
    forbidden: set[int] = set()
    for address in candidates:
        opened, failed = _open(address, [port for port in wish.ports if port not in forbidden], bind)
        forbidden |= {port for port, number in failed.items() if number in (errno.EACCES, errno.EPERM)}
        if all(port in forbidden for port in failed):
            return _settle(wish, address, opened, failed, bind)
        _close(opened)
    opened, failed = _open(ADDRESSES[0], list(wish.ports), bind)
    return _settle(wish, ADDRESSES[0], opened, failed, bind)


def _open(address: str, ports: list[int], bind: Bind) -> tuple[dict[int, socket.socket], dict[int, int]]:
    opened: dict[int, socket.socket] = {}
    failed: dict[int, int] = {}
    for port in ports:
        try:
            opened[port] = bind(address, port)
        except OSError as error:
            failed[port] = error.errno or errno.EIO
    return opened, failed


def _settle(
    wish: forwards.Wish, address: str, opened: dict[int, socket.socket], failed: dict[int, int], bind: Bind
) -> tuple[forwards.Place, dict[int, socket.socket]]:
    errors: dict[int, str] = {}
    for port in wish.ports:
        if port in opened:
            continue
        why = "needs root on this machine" if failed.get(port, errno.EACCES) in (errno.EACCES, errno.EPERM) else "is in use on this machine"
        if wish.fixed:
            errors[port] = f"port {port} {why}"
            continue
        opened[port] = bind(address, 0)
        errors[port] = f"port {port} {why}; listening on {opened[port].getsockname()[1]} instead"
    ports = {port: opened[port].getsockname()[1] if port in opened else 0 for port in wish.ports}
    return forwards.Place(id=wish.id, address=address, ports=ports, errors=errors), opened


def _open_again(wish: forwards.Wish, before: forwards.Place, bind: Bind) -> dict[int, socket.socket] | None:
    if set(before.ports) != set(wish.ports) or (before.errors and wish.fixed):
        return None
    opened: dict[int, socket.socket] = {}
    try:
        for port, bound in before.ports.items():
            opened[port] = bind(before.address, bound)
    except OSError:
        _close(opened)
        return None
    return opened


def _close(opened: dict[int, socket.socket]) -> None:
    for listener in opened.values():
        listener.close()
