from __future__ import annotations

from pathlib import Path

from varka.cli import up
from varka.resources.gateway_api import __main__ as written


def test_the_clusters_definitions_are_up_to_date() -> None:
    """`python -m varka.resources.gateway_api > src/varka/cli/gateway_api.json` writes them."""
    assert Path(up.GATEWAY_API).read_text() == written.text()
