"""Processes and their memory."""

from __future__ import annotations

import pytest
from bench import processes

ROLLUP = "5500 7fff ---p 00000000 00:00 0    [rollup]\nRss:   90000 kB\nPss:    1234 kB\nPss_Dirty:  99 kB\n"


def test_pss() -> None:
    """The sum, not one of its parts."""
    assert processes.pss_kib(ROLLUP) == 1234 and processes.pss_kib("") == 0


def test_parent_of_a_strange_name() -> None:
    """Brackets and spaces in the name do not confuse."""
    assert processes.parent("42 (a) (b c) S 7 42 42 0") == 7


def test_descendants() -> None:
    """Everything below, nothing beside."""
    assert processes.descendants(2, {1: 0, 2: 1, 3: 2, 4: 3, 5: 1}) == {2, 3, 4}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("/v/bin/python3 -P -m varka.cluster.node --state /s", "node"),
        ("/v/bin/python3 -P -m varka.agent --state /s", "node agent"),
        ("/v/bin/python3 -P -m varka.control discovery", "istiod"),
        ("/v/bin/python3 -P -m varka.cluster.relay --state /s", "relay, supervisor, init"),
        ("/v/bin/python3 -I -S /x/varka/cluster/supervisor.py /s", "relay, supervisor, init"),
        ("/v/envoy/_bin/envoy -c /etc/istio/proxy/envoy-rev.json", "Envoys"),
        ("/v/bin/python3 -I -S /x/varka/cluster/runtime/shim/shim.py /s/pods/1", "shims"),
        ("/v/bin/python3 -E -s /x/samples/apps/reviews.py", "applications"),
    ],
)
def test_kind(line: str, kind: str) -> None:
    """By command line."""
    assert processes.kind(line.split()) == kind


def test_by_kind_adds_up() -> None:
    """In units of 10^6 bytes; every kind is there."""
    envoy = ("/v/envoy", "-c")
    found = processes.by_kind([processes.Process(pid=1, arguments=envoy, pss_kib=1000), processes.Process(pid=2, arguments=envoy, pss_kib=1000)])
    assert found["Envoys"] == (2, 2.048) and set(found) == set(processes.KINDS) and found["node"] == (0, 0.0)
