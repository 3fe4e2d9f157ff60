from __future__ import annotations

import pytest
from tests.builders.meshobjects import istio

from varka.model.discovery import allocation
from varka.model.discovery.allocation import Want
from varka.resources import parse


def want(key: str, *hosts: str, created: float = 0.0, **given: str) -> Want:
    """Hosts `a`, `b`, … of one ServiceEntry."""
    return Want(key=key, created=created, hosts=hosts, given=given)


def test_addresses_are_repeatable_and_distinct() -> None:
    """The same hosts get the same addresses in any order, each its own, in the range that nobody routes."""
    wants = [want("ns/x", "a", "b"), want("ns/y", "a")]
    found = allocation.allocate(wants)
    assert found == allocation.allocate(reversed(wants))
    addresses = [address for hosts in found.values() for address in hosts.values()]
    assert len(set(addresses)) == 3
    assert all(address.startswith("240.240.") for address in addresses)


def test_what_was_given_is_kept() -> None:
    """An address in the status outlives the process that gave it; one of another range does not count."""
    assert allocation.allocate([want("ns/x", "a", a="240.240.7.7")]) == {"ns/x": {"a": "240.240.7.7"}}
    assert allocation.allocate([want("ns/x", "a", a="10.0.0.1")])["ns/x"]["a"] != "10.0.0.1"


def test_of_two_claims_the_older_wins() -> None:
    """A copied status does not lead two hosts to one address."""
    found = allocation.allocate([want("ns/copy", "a", created=2, a="240.240.7.7"), want("ns/first", "a", created=1, a="240.240.7.7")])
    assert found["ns/first"]["a"] == "240.240.7.7"
    assert found["ns/copy"]["a"] != "240.240.7.7"


def test_a_full_range_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the last address hosts go without."""
    monkeypatch.setattr(allocation, "USABLE", 2)
    found = allocation.allocate([want("ns/x", "a", "b", "c")])
    assert sorted(found["ns/x"].values()) == ["240.240.0.1", "240.240.0.2"]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"hosts": ["A.com", "*.b.com"], "resolution": "DNS"}, ("a.com",)),
        ({"hosts": ["*.b.com"], "resolution": "DYNAMIC_DNS"}, ("*.b.com",)),
        ({"hosts": ["a.com"], "resolution": "NONE"}, ()),
        ({"hosts": ["a.com"], "resolution": "STATIC", "addresses": ["10.0.0.1"]}, ()),
    ],
)
def test_who_needs_an_address(spec: dict[str, object], wanted: tuple[str, ...]) -> None:
    """Hosts without addresses of their own; wildcards only where any of their names may be looked up."""
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    assert allocation.hosts(parse(istio("ServiceEntry", "s", {"ports": ports, **spec}))) == wanted


def test_an_entry_may_refuse() -> None:
    """By the label that Istio has for it."""
    written = istio("ServiceEntry", "s", {"hosts": ["a.com"], "resolution": "DNS", "ports": [{"number": 80, "name": "http"}]})
    written["metadata"]["labels"] = {"networking.istio.io/enable-autoallocate-ip": "false"}
    assert allocation.hosts(parse(written)) == ()
