from __future__ import annotations

import pytest

from varka.agent.dns.name_lookup import Found, Lookup
from varka.model.name_table import Name

TABLE = {
    "web.default.svc.cluster.local": Name(addresses=("10.0.0.1",), registry="Kubernetes", short="web", namespace="default"),
    "web.other.svc.cluster.local": Name(addresses=("10.0.0.2",), registry="Kubernetes", short="web", namespace="other"),
    "api.example.com": Name(addresses=("240.240.0.1",), registry="External"),
    "*.wild.example.com": Name(addresses=("240.240.0.2",), registry="External"),
}
SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


@pytest.mark.parametrize(
    ("name", "address", "alias"),
    [
        ("web", "10.0.0.1", ""),
        ("web.other", "10.0.0.2", ""),
        ("web.other.svc", "10.0.0.2", ""),
        ("web.default.svc.cluster.local", "10.0.0.1", ""),
        ("api.example.com", "240.240.0.1", ""),
        ("api.example.com.default.svc.cluster.local", "240.240.0.1", "api.example.com"),
        ("a.b.wild.example.com", "240.240.0.2", ""),
        ("a.wild.example.com.cluster.local", "240.240.0.2", "a.wild.example.com"),
    ],
)
def test_known_names(name: str, address: str, alias: str) -> None:
    """Full and short names, wildcards, and what a resolver makes of them with its search domains."""
    assert Lookup(TABLE, "default", SEARCH).find(name) == Found(addresses=(address,), alias=alias)


@pytest.mark.parametrize("name", ["wild.example.com", "other.example.com", "api.example.com.elsewhere", "nobody.default.svc.cluster.local", ""])
def test_unknown_names(name: str) -> None:
    """They are left to the name server of the network; a wildcard does not cover its own domain."""
    assert Lookup(TABLE, "default", SEARCH).find(name) is None
