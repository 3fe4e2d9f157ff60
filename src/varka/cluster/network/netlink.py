"""Links, addresses and routes by rtnetlink(7): the few messages that a pod's network needs, without starting a program.

A message is acknowledged by the kernel with an errno; EEXIST counts as done where the caller says so. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

NLM_REQUEST, NLM_ACK = 1, 4
_NLM_EXCL, _NLM_CREATE, _NLM_REPLACE = 0x200, 0x400, 0x100
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 17, 20, 24
_NLMSG_ERROR = 2
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
SCOPE_GLOBAL, SCOPE_LINK, SCOPE_HOST = 0, 253, 254
_CLONE_NEWNET = 0x40000000
_IFF_UP = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("HH", length, kind) + value + b"\0" * (-length % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


class Netlink:
    """A route socket in one network namespace; blocking, microseconds a message."""

    def __init__(self, handle: socket.socket | None = None) -> None:
        self._socket = handle or socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.settimeout(5)
        self._sequence = 0

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, kind: int, flags: int, payload: bytes, accept: tuple[int, ...] = ()) -> None:
        self._sequence += 1
        header = struct.pack("IHHII", 16 + len(payload), kind, NLM_REQUEST | NLM_ACK | flags, self._sequence, 0)
        self._socket.send(header + payload)
        while True:
            answer = self._socket.recv(65536)
            _, answered, _, sequence, _ = struct.unpack_from("IHHII", answer)
            if answered == _NLMSG_ERROR and sequence == self._sequence:
                number = -struct.unpack_from("i", answer, 16)[0]
                if number and number not in accept:
                    raise OSError(number, os.strerror(number))
                return

    def create_veth(self, name: str, peer: str, peer_namespace: int) -> None:
        """A pair of linked interfaces, `name` here and up, `peer` in the namespace of the open file `peer_namespace`."""
        up = struct.pack("BxHiII", socket.AF_UNSPEC, 0, 0, _IFF_UP, _IFF_UP)
        down = struct.pack("BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
        other = down + _text(_IFLA_IFNAME, peer) + _attribute(_IFLA_NET_NS_FD, struct.pack("I", peer_namespace))
        info = _text(_IFLA_INFO_KIND, "veth") + _attribute(_IFLA_INFO_DATA, _attribute(_VETH_INFO_PEER, other))
        self._ask(_RTM_NEWLINK, _NLM_CREATE | _NLM_EXCL, up + _text(_IFLA_IFNAME, name) + _attribute(_IFLA_LINKINFO, info))

    def delete_link(self, name: str) -> None:
        """Remove an interface, and its peer; one that is gone already is fine."""
        payload = struct.pack("BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0) + _text(_IFLA_IFNAME, name)
        self._ask(_RTM_DELLINK, 0, payload, accept=(errno.ENODEV,))

    def set_up(self, name: str) -> None:
        """Bring an interface up."""
        payload = struct.pack("BxHiII", socket.AF_UNSPEC, 0, 0, _IFF_UP, _IFF_UP) + _text(_IFLA_IFNAME, name)
        self._ask(_RTM_NEWLINK, 0, payload)

    def add_address(self, index: int, address: str, prefix: int, scope: int = SCOPE_GLOBAL) -> None:
        """Give an interface an address; one that it has already is fine."""
        raw = socket.inet_aton(address)
        payload = struct.pack("BBBBi", socket.AF_INET, prefix, 0, scope, index) + _attribute(_IFA_LOCAL, raw) + _attribute(_IFA_ADDRESS, raw)
        self._ask(_RTM_NEWADDR, _NLM_CREATE | _NLM_EXCL, payload, accept=(errno.EEXIST,))

    def add_route(self, destination: str, prefix: int, index: int, *, gateway: str = "", source: str = "") -> None:
        """Route `destination/prefix` through an interface, replacing an older route to it."""
        scope = SCOPE_GLOBAL if gateway else SCOPE_LINK
        payload = struct.pack("BBBBBBBBI", socket.AF_INET, prefix, 0, 0, 254, 4, scope, 1, 0)
        if prefix:
            payload += _attribute(_RTA_DST, socket.inet_aton(destination))
        payload += _attribute(_RTA_OIF, struct.pack("i", index))
        if gateway:
            payload += _attribute(_RTA_GATEWAY, socket.inet_aton(gateway))
        if source:
            payload += _attribute(_RTA_PREFSRC, socket.inet_aton(source))
        self._ask(_RTM_NEWROUTE, _NLM_CREATE | _NLM_REPLACE, payload)


def index_of(name: str) -> int:
    """Number of an interface in this namespace; OSError when there is none."""
    return socket.if_nametoindex(name)


T = TypeVar("T")


def inside(namespace: int, act: Callable[[], T]) -> T:
    """Run `act()` in a thread of its own that has entered the network namespace of the open file `namespace`.

    Sockets made there keep belonging to that namespace.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def enter() -> None:
        try:
            if _libc.setns(namespace, _CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, f"setns: {os.strerror(number)}")
            outcome.append(act())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=enter, name="netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
