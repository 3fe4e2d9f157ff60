from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from varka.telemetry.dashboards import __main__ as written
from varka.telemetry.dashboards import grafana_json
from varka.telemetry.dashboards.panels import Dashboard

FOLDER = Path(__file__).parents[4] / "samples" / "addons" / "dashboards"


def test_the_files_for_a_grafana_elsewhere_are_up_to_date() -> None:
    """`python -m varka.telemetry.dashboards samples/addons/dashboards` writes them."""
    assert {file.name: file.read_text() for file in FOLDER.iterdir()} == written.files()


@pytest.mark.parametrize("made", grafana_json.ALL, ids=lambda made: str(made.uid))
def test_panels_have_ids_of_their_own_and_do_not_overlap(made: Dashboard) -> None:
    """Grafana refuses the same id twice; a place of the page belongs to one panel."""
    shown = grafana_json.dashboard(made)
    panels: list[dict[str, Any]] = shown["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("made", grafana_json.ALL, ids=lambda made: str(made.uid))
def test_queries_use_known_variables_and_are_balanced(made: Dashboard) -> None:
    """Each `$name` is a variable of the page or Grafana's own; brackets match."""
    shown = grafana_json.dashboard(made)
    known = {variable["name"] for variable in shown["templating"]["list"]} | {"__rate_interval"}
    texts = [target["expr"] for panel in shown["panels"] for target in panel.get("targets", [])]
    texts += [variable["query"]["query"] for variable in shown["templating"]["list"] if isinstance(variable.get("query"), dict)]
    assert texts
    for text in texts:
        assert set(re.findall(r"\$(\w+)", text)) <= known
        for opening, closing in ("()", "[]", "{}"):
            assert text.count(opening) == text.count(closing)


def test_it_is_plain_json() -> None:
    """What is written can be read back unchanged."""
    for content in written.files().values():
        assert json.loads(content)["schemaVersion"] == 39
