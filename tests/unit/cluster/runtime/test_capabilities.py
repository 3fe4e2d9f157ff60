"""What containers may do."""

from __future__ import annotations

import pytest

from varka.cluster.runtime import capabilities
from varka.cluster.runtime.capabilities import NUMBERS, kept


def names(numbers: list[int]) -> set[str]:
    """Names of capabilities."""
    return {name for name, number in NUMBERS.items() if number in numbers}


def test_the_numbers_are_those_of_the_kernel() -> None:
    """linux/capability.h."""
    assert (NUMBERS["CHOWN"], NUMBERS["NET_ADMIN"], NUMBERS["SYS_ADMIN"], NUMBERS["CHECKPOINT_RESTORE"]) == (0, 12, 21, 40)


def test_without_a_security_context_the_default_set() -> None:
    """Raw sockets and low ports, but no administration of the network."""
    assert names(kept({})) == capabilities.DEFAULT


def test_add_and_drop() -> None:
    """With or without CAP_, in any case."""
    assert names(kept({"capabilities": {"add": ["CAP_NET_ADMIN"], "drop": ["net_raw"]}})) == capabilities.DEFAULT - {"NET_RAW"} | {"NET_ADMIN"}


def test_drop_all() -> None:
    """Only what is added back, and the right to read files, remains."""
    assert names(kept({"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}})) == {"NET_BIND_SERVICE", "DAC_OVERRIDE"}


def test_an_image_keeps_what_it_cannot_do_without() -> None:
    """A proxy marks its packets even where the pod drops everything."""
    assert names(kept({"capabilities": {"drop": ["ALL"]}}, ["NET_ADMIN"])) == {"NET_ADMIN", "DAC_OVERRIDE"}


@pytest.mark.parametrize("context", [{"privileged": True}, {"capabilities": {"add": ["ALL"]}}, {"capabilities": {"add": ["SYS_ADMIN", "SYS_PTRACE"]}}])
def test_nothing_gives_the_way_out(context: dict[str, object]) -> None:
    """The capabilities with which a pod could enter other namespaces are never given."""
    assert not names(kept(context)) & capabilities.NEVER
