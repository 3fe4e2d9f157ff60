"""Sockets that live in a pod's network namespace while their process stays in the node's.

A socket belongs for good to the namespace in which it was made, so the calling thread enters the namespace for the
length of one system call and comes back.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class NetworkNamespace:
    """The network namespace of a process, held open; `None` is the caller's own."""

    def __init__(self, pid: int | None) -> None:
        self._descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC) if pid is not None else None

    def close(self) -> None:
        """Let go of the namespace; sockets made in it stay."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def open(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A new non-blocking socket in the namespace."""
        with self._entered():
            made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        return made

    def bind(self, address: str, port: int) -> socket.socket:
        """A UDP socket in the namespace that takes what is sent to a port."""
        made = self.open(kind=socket.SOCK_DGRAM)
        try:
            made.bind((address, port))
        except OSError:
            made.close()
            raise
        return made

    def listen(self, address: str, port: int) -> socket.socket:
        """A listening TCP socket in the namespace."""
        made = self.open()
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            made.listen(128)
        except OSError:
            made.close()
            raise
        return made

    @contextmanager
    def _entered(self) -> Iterator[None]:
        if self._descriptor is None:
            yield
            return
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._descriptor)
            try:
                yield
            finally:
                _setns(own)
        finally:
            os.close(own)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot enter a network namespace: {os.strerror(code)}")
