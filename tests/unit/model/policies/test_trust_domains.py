from __future__ import annotations

from varka.model.policies.trust_domains import Domains

DOMAINS = Domains(own="td1", aliases=("old",))


def test_trust_domain_and_former_names() -> None:
    """A principal of the mesh, by whatever name, is accepted under all its names; a foreign one stays as it is."""
    assert DOMAINS.expand(["old/ns/a/sa/b"]) == ("td1/ns/a/sa/b", "old/ns/a/sa/b")
    assert DOMAINS.expand(["cluster.local/ns/a/sa/b"]) == ("td1/ns/a/sa/b", "old/ns/a/sa/b")
    assert DOMAINS.expand(["other/ns/a/sa/b", "*"]) == ("other/ns/a/sa/b", "*")
