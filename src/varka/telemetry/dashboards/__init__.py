"""Dashboards of the mesh: what each panel asks of Prometheus, and Grafana's JSON of it.

A dashboard is a value (`panels.Dashboard`); `mesh`, `services`, `workloads`, `control_plane` and `performance` hold one
each, `grafana_json` writes them down so that any Grafana from version 9 on imports them.
"""
