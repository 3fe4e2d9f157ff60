"""The files of /etc."""

from __future__ import annotations

from pathlib import Path

from varka.cluster.runtime import etc_files

POD = {"metadata": {"name": "p", "namespace": "n"}, "spec": {}, "status": {"podIP": "10.244.0.9"}}
LOCAL = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


def test_hosts() -> None:
    """A pod knows its own name."""
    assert etc_files.hosts(POD, "p", "cluster.local") == LOCAL + "10.244.0.9\tp\n"


def test_subdomain_and_aliases() -> None:
    """With a subdomain the full name comes first; hostAliases follow."""
    spec = {"subdomain": "s", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}
    assert etc_files.hosts({**POD, "spec": spec}, "h", "cluster.local") == (
        LOCAL + "10.244.0.9\th.s.n.svc.cluster.local\th\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"
    )


def test_host_network() -> None:
    """A pod in the node's network has no line of its own."""
    assert etc_files.hosts({**POD, "spec": {"hostNetwork": True}}, "p", "cluster.local") == LOCAL


def test_write(tmp_path: Path) -> None:
    """Three files."""
    etc_files.write(tmp_path / "etc", POD, "p", "cluster.local", "nameserver 10.96.0.10\n")
    assert {file.name: file.read_text() for file in (tmp_path / "etc").iterdir()} == {
        "hosts": LOCAL + "10.244.0.9\tp\n",
        "hostname": "p\n",
        "resolv.conf": "nameserver 10.96.0.10\n",
    }
