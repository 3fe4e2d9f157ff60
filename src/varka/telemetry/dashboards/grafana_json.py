"""A dashboard in Grafana's JSON (schema 39, read by Grafana 9 and later). Its data source is a variable, chosen on import."""

from __future__ import annotations

from typing import Any

from varka.telemetry.dashboards import control_plane, mesh, performance, services, workloads
from varka.telemetry.dashboards.panels import Dashboard, Panel, Query, Variable

ALL: tuple[Dashboard, ...] = (mesh.DASHBOARD, services.DASHBOARD, workloads.DASHBOARD, control_plane.DASHBOARD, performance.DASHBOARD)
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24


def dashboard(made: Dashboard) -> dict[str, Any]:
    """The whole page."""
    return {
        "uid": made.uid,
        "title": made.title,
        "tags": ["istio", "varka"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_source_variable(), *(_variable(one) for one in made.variables)]},
        "panels": _panels(made),
    }


def _panels(made: Dashboard) -> list[dict[str, Any]]:
    """Rows and panels from left to right and top to bottom, on 24 columns."""
    shown: list[dict[str, Any]] = []
    y = 0
    for row in made.rows:
        shown.append({"id": len(shown) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": _place(0, y, _COLUMNS, 1)})
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            shown.append({"id": len(shown) + 1, "gridPos": _place(x, y, panel.width, panel.height), **_panel(panel)})
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return shown


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "targets": [_target(panel, number, query) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0 if panel.kind == "timeseries" else None}, "overrides": []},
        "options": _options(panel),
    }
    if panel.description:
        shown["description"] = panel.description
    if panel.kind == "table":
        names = {f"Value #{_reference(number)}": query.legend for number, query in enumerate(panel.queries)}
        shown["transformations"] = [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
        ]
    return shown


def _target(panel: Panel, number: int, query: Query) -> dict[str, Any]:
    target: dict[str, Any] = {"refId": _reference(number), "datasource": _SOURCE, "expr": query.expr, "legendFormat": query.legend or "__auto"}
    if panel.kind in ("table", "stat"):
        target |= {"instant": True, "range": False}
    if panel.kind in ("table", "heatmap"):
        target["format"] = panel.kind
    return target


def _reference(number: int) -> str:
    return chr(ord("A") + number)


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "none", "colorMode": "value"}
    return {"calculate": False, "yAxis": {"unit": panel.unit}} if panel.kind == "heatmap" else {"showHeader": True}


def _source_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0}


def _variable(variable: Variable) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": variable.name, "label": variable.label, "multi": variable.several, "includeAll": variable.several, "allValue": ".*"}
    if variable.several:
        shown["current"] = {"text": "All", "value": "$__all"}
    if variable.options:
        return {**shown, "type": "custom", "query": ",".join(variable.options), "options": []}
    return {**shown, "type": "query", "datasource": _SOURCE, "query": {"query": variable.query, "refId": variable.name}, "refresh": 2, "sort": 1}
