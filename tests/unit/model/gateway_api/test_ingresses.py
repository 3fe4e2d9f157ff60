from __future__ import annotations

from msgspec.structs import replace
from tests.builders import gateway_api as build

from varka.model.view import MeshSettings

CLASS = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: mesh}\nspec: {controller: istio.io/ingress-controller}\n"
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  ingressClassName: mesh
  tls: [{hosts: [a.org], secretName: cert}]
  rules:
  - host: a.org
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}
      - {path: /admin, pathType: Prefix, backend: {service: {name: shop, port: {name: http-admin}}}}
      - {path: /admin, pathType: Exact, backend: {service: {name: shop, port: {number: 80}}}}
"""


def test_paths_are_tried_exact_first_then_the_longest_prefix() -> None:
    """Ports may be named."""
    made = build.translated(CLASS, INGRESS)
    (service,) = made.virtual_services
    assert service.hosts == ("a.org",)
    assert [
        (route.matches[0].uri.value, str(route.matches[0].uri.kind), route.destinations[0].destination.port) for route in service.http if route.matches[0].uri
    ] == [
        ("/admin", "exact", 80),
        ("/admin", "prefix", 81),
        ("/", "prefix", 80),
    ]
    assert made.ingresses == (("Ingress", "default", "web"),)


def test_an_ingress_opens_the_meshs_ingress_gateway() -> None:
    """Port 80, and 443 with each certificate."""
    (gateway,) = build.translated(CLASS, INGRESS).gateways
    assert gateway.selector == {"istio": "ingressgateway"}
    assert [(server.port, server.hosts, server.tls.credential_names if server.tls else ()) for server in gateway.servers] == [
        (80, ("*/*",), ()),
        (443, ("*/a.org",), ("cert",)),
    ]


def test_whose_an_ingress_is() -> None:
    """By class, by the old annotation, or by the mesh's mode."""
    unnamed = INGRESS.replace("  ingressClassName: mesh\n", "")
    annotated = unnamed.replace("namespace: default}", "namespace: default, annotations: {kubernetes.io/ingress.class: istio}}")
    mesh = MeshSettings()
    assert build.translated(INGRESS).ingresses == ()
    assert build.translated(unnamed).ingresses == ()
    assert len(build.translated(annotated).ingresses) == 1
    assert len(build.translated(unnamed, mesh=replace(mesh, ingress_controller_mode="DEFAULT")).ingresses) == 1
    assert build.translated(CLASS, INGRESS, mesh=replace(mesh, ingress_controller_mode="OFF")).ingresses == ()
