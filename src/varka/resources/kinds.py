"""The table of kinds: which class reads what, and under which names and versions the API serves it."""

from __future__ import annotations

from msgspec import Struct

from varka.resources import extensions, kubernetes, security, telemetry
from varka.resources.schema import Spec
from varka.resources.traffic import (
    destination_rules,
    envoy_filters,
    gateways,
    proxy_configs,
    service_entries,
    sidecars,
    virtual_services,
    workloads,
)


class Column(Struct, frozen=True, kw_only=True):
    """A printer column of `kubectl get`."""

    name: str
    path: str
    type: str = "string"
    description: str = ""


class Kind(Struct, frozen=True, kw_only=True):
    """A custom resource: its class, names and versions; `stored` is the version that is kept."""

    group: str
    kind: str
    plural: str
    spec: type[Spec]
    versions: tuple[str, ...] = ("v1", "v1alpha3", "v1beta1")
    stored: str = "v1"
    short_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    spec_required: bool = False
    namespaced: bool = True

    @property
    def singular(self) -> str:
        return self.kind.lower()


AGE = Column(name="Age", path=".metadata.creationTimestamp", type="date", description="When the object was created.")
NETWORKING, SECURITY = "networking.istio.io", "security.istio.io"
TELEMETRY, EXTENSIONS = "telemetry.istio.io", "extensions.istio.io"
_SECURITY = ("v1", "v1beta1")

KINDS: tuple[Kind, ...] = (
    Kind(
        group=EXTENSIONS,
        kind="WasmPlugin",
        plural="wasmplugins",
        spec=extensions.WasmPlugin,
        versions=("v1alpha1",),
        stored="v1alpha1",
        columns=(AGE,),
        spec_required=True,
    ),
    Kind(
        group=NETWORKING,
        kind="DestinationRule",
        plural="destinationrules",
        spec=destination_rules.DestinationRule,
        short_names=("dr",),
        columns=(Column(name="Host", path=".spec.host", description="The service that the rule is for."), AGE),
    ),
    Kind(
        group=NETWORKING,
        kind="EnvoyFilter",
        plural="envoyfilters",
        spec=envoy_filters.EnvoyFilter,
        versions=("v1alpha3",),
        stored="v1alpha3",
    ),
    Kind(group=NETWORKING, kind="Gateway", plural="gateways", spec=gateways.Gateway, short_names=("gw",)),
    Kind(
        group=NETWORKING,
        kind="ProxyConfig",
        plural="proxyconfigs",
        spec=proxy_configs.ProxyConfig,
        versions=("v1beta1",),
        stored="v1beta1",
    ),
    Kind(
        group=NETWORKING,
        kind="ServiceEntry",
        plural="serviceentries",
        spec=service_entries.ServiceEntry,
        short_names=("se",),
        columns=(
            Column(name="Hosts", path=".spec.hosts", description="The hosts of the service."),
            Column(name="Location", path=".spec.location", description="Inside the mesh or outside."),
            Column(name="Resolution", path=".spec.resolution", description="How endpoints are found."),
            AGE,
        ),
        spec_required=True,
    ),
    Kind(group=NETWORKING, kind="Sidecar", plural="sidecars", spec=sidecars.Sidecar),
    Kind(
        group=NETWORKING,
        kind="VirtualService",
        plural="virtualservices",
        spec=virtual_services.VirtualService,
        short_names=("vs",),
        columns=(
            Column(name="Gateways", path=".spec.gateways", description="The gateways that the rules are for."),
            Column(name="Hosts", path=".spec.hosts", description="The hosts that requests are sent to."),
            AGE,
        ),
    ),
    Kind(
        group=NETWORKING,
        kind="WorkloadEntry",
        plural="workloadentries",
        spec=workloads.WorkloadEntry,
        short_names=("we",),
        columns=(AGE, Column(name="Address", path=".spec.address", description="Where the workload is.")),
        spec_required=True,
    ),
    Kind(
        group=NETWORKING,
        kind="WorkloadGroup",
        plural="workloadgroups",
        spec=workloads.WorkloadGroup,
        short_names=("wg",),
        columns=(AGE,),
        spec_required=True,
    ),
    Kind(
        group=SECURITY,
        kind="AuthorizationPolicy",
        plural="authorizationpolicies",
        spec=security.AuthorizationPolicy,
        versions=_SECURITY,
        short_names=("ap",),
        columns=(Column(name="Action", path=".spec.action", description="What a match leads to."), AGE),
    ),
    Kind(
        group=SECURITY,
        kind="PeerAuthentication",
        plural="peerauthentications",
        spec=security.PeerAuthentication,
        versions=_SECURITY,
        short_names=("pa",),
        columns=(Column(name="Mode", path=".spec.mtls.mode", description="The mode of mutual TLS."), AGE),
    ),
    Kind(
        group=SECURITY,
        kind="RequestAuthentication",
        plural="requestauthentications",
        spec=security.RequestAuthentication,
        versions=_SECURITY,
        short_names=("ra",),
    ),
    Kind(
        group=TELEMETRY,
        kind="Telemetry",
        plural="telemetries",
        spec=telemetry.Telemetry,
        versions=("v1", "v1alpha1"),
        stored="v1alpha1",
        short_names=("telemetry",),
        columns=(AGE,),
    ),
)

BY_KIND = {(kind.group, kind.kind): kind for kind in KINDS}

CORE: dict[tuple[str, str], type[kubernetes.Slice]] = {
    ("", "Service"): kubernetes.Service,
    ("discovery.k8s.io", "EndpointSlice"): kubernetes.EndpointSlice,
    ("", "Pod"): kubernetes.Pod,
    ("", "Node"): kubernetes.Node,
    ("", "Namespace"): kubernetes.Namespace,
    ("", "ServiceAccount"): kubernetes.ServiceAccount,
    ("", "ConfigMap"): kubernetes.ConfigMap,
    ("", "Secret"): kubernetes.Secret,
    ("apps", "Deployment"): kubernetes.Deployment,
    ("networking.k8s.io", "Ingress"): kubernetes.Ingress,
    ("networking.k8s.io", "IngressClass"): kubernetes.IngressClass,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): kubernetes.WebhookConfiguration,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): kubernetes.WebhookConfiguration,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): kubernetes.Definition,
}
