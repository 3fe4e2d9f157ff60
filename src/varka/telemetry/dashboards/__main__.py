"""`python -m varka.telemetry.dashboards FOLDER`: write the dashboards as JSON files, for a Grafana elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from varka.telemetry.dashboards import grafana_json


def files() -> dict[str, str]:
    """File name → content, of every dashboard."""
    return {f"{made.uid}.json": json.dumps(grafana_json.dashboard(made), indent=1) + "\n" for made in grafana_json.ALL}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_text(content)
