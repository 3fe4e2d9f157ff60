from __future__ import annotations

import errno
import socket

from varka.cluster import forwards, listeners


class FakeHost:
    """Ports that are taken or forbidden; hands out unbound sockets that know their number."""

    def __init__(self, taken: set[tuple[str, int]] | None = None, forbidden_below: int = 0) -> None:
        self.taken = taken or set()
        self.forbidden_below = forbidden_below
        self.bound: list[tuple[str, int]] = []

    def bind(self, address: str, port: int) -> socket.socket:
        if 0 < port < self.forbidden_below:
            raise PermissionError(errno.EACCES, "forbidden")
        if (address, port) in self.taken:
            raise OSError(errno.EADDRINUSE, "taken")
        self.bound.append((address, port or 40000 + len(self.bound)))
        return FakeSocket(*self.bound[-1])


class FakeSocket(socket.socket):
    def __init__(self, address: str, port: int) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._name = (address, port)

    def getsockname(self) -> tuple[str, int]:
        return self._name


def wish(*ports: int, fixed: bool = False) -> forwards.Wish:
    """A wish for these ports."""
    return forwards.Wish(id="default/gw", target="10.96.0.7", ports=ports, fixed=fixed)


def place(want: forwards.Wish, host: FakeHost, before: forwards.Place | None = None) -> forwards.Place:
    """Where the wish ends up on this host."""
    found, opened = listeners.place(want, before, host.bind)
    for one in opened.values():
        one.close()
    return found


def test_free_ports_are_had_on_the_first_address() -> None:
    """127.0.0.1 with the service's own ports."""
    assert place(wish(80, 443), FakeHost()) == forwards.Place(id="default/gw", address="127.0.0.1", ports={80: 80, 443: 443})


def test_a_taken_port_leads_to_the_next_address_with_all_ports() -> None:
    """Ports of one service stay together."""
    assert place(wish(80, 443), FakeHost({("127.0.0.1", 443)})) == forwards.Place(id="default/gw", address="127.0.0.2", ports={80: 80, 443: 443})


def test_a_forbidden_port_is_replaced_and_explained() -> None:
    """Without root, port 80 becomes a high one while 15021 stays."""
    found = place(wish(80, 15021), FakeHost(forbidden_below=1024))
    assert (found.address, found.ports[15021]) == ("127.0.0.1", 15021)
    assert found.errors == {80: f"port 80 needs root on this machine; listening on {found.ports[80]} instead"}


def test_a_port_taken_everywhere_is_replaced_and_explained() -> None:
    """A listener on all addresses blocks every loopback address."""
    found = place(wish(80), FakeHost({(address, 80) for address in listeners.ADDRESSES}))
    assert found.errors == {80: f"port 80 is in use on this machine; listening on {found.ports[80]} instead"}


def test_a_fixed_wish_takes_its_port_or_none() -> None:
    """Node ports are offered on 127.0.0.1 only."""
    found = place(wish(30080, fixed=True), FakeHost({("127.0.0.1", 30080)}))
    assert (found.address, found.ports, found.errors) == ("127.0.0.1", {30080: 0}, {30080: "port 30080 is in use on this machine"})


def test_the_place_of_before_is_had_again() -> None:
    """A restarted relay keeps the URLs."""
    before = forwards.Place(id="default/gw", address="127.0.0.5", ports={80: 8080}, errors={80: "moved"})
    assert place(wish(80), FakeHost(), before) == before


def test_places_survive_their_json() -> None:
    """Ports are numbers again after a round trip."""
    one = forwards.Place(id="default/gw", address="127.0.0.5", ports={80: 8080}, errors={80: "moved"})
    assert forwards.places(forwards.encode([one])) == [one]
    assert forwards.wishes(forwards.encode([wish(80)])) == [wish(80)]
