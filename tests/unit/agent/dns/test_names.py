from __future__ import annotations

import pytest
from tests.fakes import loopback

from varka.agent.dns import names
from varka.agent.dns.names import Resolver
from varka.base.errors import VarkaError


def test_resolv_conf_is_read() -> None:
    """Servers in order, the last search list, and ndots among the options."""
    text = "# made\nnameserver 10.96.0.10\nnameserver 10.96.0.11\nsearch a b\nsearch shop.svc x\noptions timeout:1 ndots:5\n"
    assert names.parse(text) == Resolver(servers=("10.96.0.10", "10.96.0.11"), search=("shop.svc", "x"), ndots=5)


def test_nonsense_in_resolv_conf_is_passed_over() -> None:
    """Each line for itself."""
    assert names.parse("nameserver\noptions ndots:many\nsearch\n") == Resolver(servers=())


@pytest.mark.parametrize(
    ("name", "ndots", "wanted"),
    [
        ("istiod", 5, ["istiod.a.", "istiod.b.", "istiod."]),
        ("istiod.istio-system.svc", 5, ["istiod.istio-system.svc.a.", "istiod.istio-system.svc.b.", "istiod.istio-system.svc."]),
        ("istiod.istio-system.svc", 2, ["istiod.istio-system.svc.", "istiod.istio-system.svc.a.", "istiod.istio-system.svc.b."]),
        ("istiod.", 5, ["istiod."]),
    ],
)
def test_names_are_asked_for_in_the_order_of_resolv_conf(name: str, ndots: int, wanted: list[str]) -> None:
    """Search list first for a name with fewer dots than ndots; a final dot means as it is."""
    assert Resolver(servers=(), search=("a", "b"), ndots=ndots).candidates(name) == wanted


async def test_the_search_list_leads_to_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not exist is followed by the next candidate."""
    async with loopback.dns({"istiod.istio-system.svc.cluster.local.": "10.96.1.2"}) as server:
        monkeypatch.setattr(names, "PORT", server.port)
        resolver = Resolver(servers=("127.0.0.1",), search=("shop.svc.cluster.local", "cluster.local"), ndots=5)
        assert await names.address("istiod.istio-system.svc", resolver) == "10.96.1.2"
        assert server.asked == ["istiod.istio-system.svc.shop.svc.cluster.local.", "istiod.istio-system.svc.cluster.local."]


@pytest.mark.parametrize("fault", ["silent", "garbage"])
async def test_a_server_that_fails_is_asked_again_then_given_up(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """The error names what was looked for."""
    async with loopback.dns({}) as server:
        setattr(server, fault, True)
        monkeypatch.setattr(names, "PORT", server.port)
        monkeypatch.setattr(names, "ATTEMPT_SECONDS", 0.05)
        with pytest.raises(VarkaError, match="no address for istiod"):
            await names.address("istiod.", Resolver(servers=("127.0.0.1",)))
        assert server.asked == ["istiod."] * names.ATTEMPTS


async def test_an_address_needs_no_name_server() -> None:
    """A control plane may be given by its address."""
    assert await names.address("10.1.2.3", Resolver(servers=())) == "10.1.2.3"
