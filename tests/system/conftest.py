"""Fixtures of the system ring: one cluster for the whole run, and fresh ones for tests that break theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.clusters import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder belongs to the system ring."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster that tests share; they clean up after themselves or use namespaces of their own."""
    made = Cluster("shared")
    made.up()
    yield made
    made.destroy()


@pytest.fixture
def fresh_cluster() -> Iterator[Callable[[str], Cluster]]:
    """Makes clusters (not started) that are taken down at the end of the test."""
    made: list[Cluster] = []

    def make(name: str) -> Cluster:
        made.append(Cluster(name))
        return made[-1]

    yield make
    for one in made:
        one.destroy()
