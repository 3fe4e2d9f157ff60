from __future__ import annotations

from pathlib import Path

import pytest

from varka.base.errors import VarkaError
from varka.cluster.network.addresses import Addresses


def test_addresses_are_handed_out_in_order_past_the_reserved_ones() -> None:
    """The node's own address is never a pod's."""
    pool = Addresses("10.244.0.0/16", ("10.244.0.1",))
    assert [pool.take("a"), pool.take("b"), pool.take("a")] == ["10.244.0.2", "10.244.0.3", "10.244.0.2"]


def test_an_address_given_back_is_the_last_to_be_used_again() -> None:
    """A late packet for a dead pod does not reach a new one."""
    pool = Addresses("10.0.0.0/29", ("10.0.0.1",))
    pool.take("a")
    pool.give_back("a")
    assert [pool.take(uid) for uid in "bcdef"] == ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]


def test_an_exhausted_range_is_an_error() -> None:
    """The message says what to do."""
    pool = Addresses("10.0.0.0/30", ("10.0.0.1",))
    pool.take("a")
    with pytest.raises(VarkaError, match="no pod address is free; delete pods"):
        pool.take("b")


def test_a_restart_remembers_owners_and_position(tmp_path: Path) -> None:
    """The file is all that a new process needs."""
    file = tmp_path / "addresses.json"
    first = Addresses("10.244.0.0/16", ("10.244.0.1",), file)
    first.take("a")
    first.take("b")
    first.give_back("a")
    second = Addresses("10.244.0.0/16", ("10.244.0.1",), file)
    assert (second.of("a"), second.of("b"), second.take("c")) == ("", "10.244.0.3", "10.244.0.4")
