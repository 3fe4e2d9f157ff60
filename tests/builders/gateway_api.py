"""Objects of the Gateway API, and their translation, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from varka import resources
from varka.model import inputs, snapshot
from varka.model.gateway_api.translation import Translation
from varka.model.snapshot import Snapshot
from varka.model.view import MeshSettings

SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {clusterIP: 10.96.0.5, ports: [{name: http, port: 80}, {name: http-admin, port: 81}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: other}
spec: {clusterIP: 10.96.0.6, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {team: a}}
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: b}}
"""
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  gatewayClassName: istio
  listeners:
  - {name: http, port: 80, protocol: HTTP}
"""


def route(name: str, spec: Mapping[str, Any], *, namespace: str = "default", kind: str = "HTTPRoute", created: str = "2026-01-01T00:00:00Z") -> str:
    """A route of the Gateway `web`, unless the spec names other parents."""
    version = {"TLSRoute": "v1alpha2", "TCPRoute": "v1alpha2"}.get(kind, "v1")
    whole = {"parentRefs": [{"name": "web", "namespace": "default"}], **spec}
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    return yaml.safe_dump({"apiVersion": f"gateway.networking.k8s.io/{version}", "kind": kind, "metadata": meta, "spec": whole})


def build(*texts: str, mesh: MeshSettings | None = None, previous: Snapshot | None = None) -> Snapshot:
    """The snapshot of YAML texts, with two services in two namespaces."""
    objects = [document for text in (SERVICES, *texts) for document in yaml.safe_load_all(text) if document]
    return snapshot.build(inputs.of([resources.parse(one) for one in objects], mesh), previous)


def translated(*texts: str, mesh: MeshSettings | None = None) -> Translation:
    """What they come to."""
    return build(*texts, mesh=mesh).gateway_api


def reasons(made: Translation, name: str, *, kind: str = "HTTPRoute", namespace: str = "default") -> list[list[str]]:
    """The reasons of a route's conditions, parent by parent."""
    return [[one.reason for one in parent.conditions] for parent in made.route_statuses[kind, namespace, name]]
