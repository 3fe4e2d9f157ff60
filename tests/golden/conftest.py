"""The flag `--update-golden`, which writes what was built in place of what was expected."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Takes effect when pytest is started with this folder as its argument."""
    parser.addoption("--update-golden", action="store_true", default=False, help="write the results of golden tests as the new expectation")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether to write instead of compare."""
    return bool(request.config.getoption("--update-golden", default=False))
