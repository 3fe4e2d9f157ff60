"""The kinds of the Gateway API. Their definitions belong to the cluster, not to the mesh: `kubectl get crd` shows them
before a mesh is installed."""

from __future__ import annotations

from varka.resources.gateway_api import gateways, routes
from varka.resources.kinds import AGE, Column, Kind

GROUP = "gateway.networking.k8s.io"
CONTROLLER = "istio.io/gateway-controller"
CLASS = "istio"
"""The GatewayClass that the control plane creates for itself."""
_HOSTNAMES = Column(name="Hostnames", path=".spec.hostnames", description="The hosts of the route.")


def _kind(
    kind: str, plural: str, spec: type, *columns: Column, short: tuple[str, ...] = (), versions: tuple[str, ...] = ("v1",), namespaced: bool = True
) -> Kind:
    return Kind(
        group=GROUP,
        kind=kind,
        plural=plural,
        spec=spec,
        versions=versions,
        stored=versions[0],
        short_names=short,
        columns=(*columns, AGE),
        spec_required=True,
        namespaced=namespaced,
    )


_BETA = ("v1", "v1beta1")
KINDS: tuple[Kind, ...] = (
    _kind(
        "GatewayClass",
        "gatewayclasses",
        gateways.GatewayClass,
        Column(name="Controller", path=".spec.controllerName"),
        Column(name="Accepted", path='.status.conditions[?(@.type=="Accepted")].status'),
        short=("gc",),
        versions=_BETA,
        namespaced=False,
    ),
    _kind(
        "Gateway",
        "gateways",
        gateways.Gateway,
        Column(name="Class", path=".spec.gatewayClassName"),
        Column(name="Address", path=".status.addresses[*].value"),
        Column(name="Programmed", path='.status.conditions[?(@.type=="Programmed")].status'),
        short=("gtw",),
        versions=_BETA,
    ),
    _kind("HTTPRoute", "httproutes", routes.HttpRoute, _HOSTNAMES, versions=_BETA),
    _kind("GRPCRoute", "grpcroutes", routes.GrpcRoute, _HOSTNAMES),
    _kind("TLSRoute", "tlsroutes", routes.TlsRoute, _HOSTNAMES, versions=("v1alpha2", "v1alpha3")),
    _kind("TCPRoute", "tcproutes", routes.TcpRoute, versions=("v1alpha2",)),
    _kind("ReferenceGrant", "referencegrants", gateways.ReferenceGrant, short=("refgrant",), versions=("v1beta1",)),
)
BY_KIND = {(kind.group, kind.kind): kind for kind in KINDS}
