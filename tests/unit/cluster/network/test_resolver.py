from __future__ import annotations

from varka.cluster.network.resolver import resolv_conf


def test_cluster_first_has_the_search_list_and_ndots() -> None:
    """What the kubelet writes for the default policy."""
    assert resolv_conf("shop", "ClusterFirst") == ("search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n")


def test_default_has_no_search_list() -> None:
    """Names outside go to the host's resolver through the cluster's name server."""
    assert resolv_conf("shop", "Default") == "nameserver 10.96.0.10\n"


def test_none_is_the_config_alone() -> None:
    """Policy None starts from nothing."""
    config = {"nameservers": ["192.0.2.53"], "searches": ["example.org"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}
    assert resolv_conf("shop", "None", config) == "search example.org\nnameserver 192.0.2.53\noptions ndots:2 edns0\n"


def test_config_is_added_to_the_policy() -> None:
    """Options of the same name are replaced, servers and searches are appended once."""
    config = {"nameservers": ["10.96.0.10", "192.0.2.53"], "searches": ["cluster.local", "example.org"], "options": [{"name": "ndots", "value": "1"}]}
    assert resolv_conf("shop", "ClusterFirst", config) == (
        "search shop.svc.cluster.local svc.cluster.local cluster.local example.org\nnameserver 10.96.0.10\nnameserver 192.0.2.53\noptions ndots:1\n"
    )
