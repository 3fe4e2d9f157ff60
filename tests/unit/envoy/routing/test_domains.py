from __future__ import annotations

from varka.envoy.routing import domains

FULL = "reviews.default.svc.cluster.local"


def test_same_namespace_knows_all_short_names() -> None:
    """A client in the service's own namespace may leave out everything but the name."""
    found = domains.of_host(FULL, "default.svc.cluster.local")
    assert found == (FULL, FULL + ".", "reviews", "reviews.default.svc", "reviews.default")


def test_other_namespace_needs_the_namespace() -> None:
    """From elsewhere the bare name means something else."""
    assert "reviews" not in domains.of_host(FULL, "shop.svc.cluster.local")
    assert "reviews.default" in domains.of_host(FULL, "shop.svc.cluster.local")


def test_virtual_address_is_a_domain() -> None:
    """A client that uses the address as Host is served too; the placeholder address is none."""
    assert domains.of_host(FULL, "default.svc.cluster.local", ["10.96.0.1", "0.0.0.0"])[-1] == "10.96.0.1"


def test_wildcards_stay_alone() -> None:
    """A wildcard has neither a final dot nor short forms."""
    assert domains.of_host("*.example.com", "default.svc.cluster.local") == ("*.example.com",)


def test_partly_shared_domain_outside_kubernetes() -> None:
    """Where host and proxy share the end of their names, it may be left out."""
    assert domains.of_host("foo.local.campus.net", "remote.campus.net") == ("foo.local.campus.net", "foo.local.campus.net.", "foo.local")
