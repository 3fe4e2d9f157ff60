"""The parts of Kubernetes' own kinds that a mesh reads; everything else in them is left out."""

from __future__ import annotations

from typing import Any, dataclass_transform

import msgspec
from msgspec import field


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Slice(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of an object; fields that are not named here are passed over."""


class ServicePort(Slice):
    port: int = 0
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str | None = None
    app_protocol: str = ""
    node_port: int = 0


class ServiceSpec(Slice):
    type: str = "ClusterIP"
    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] = {}
    cluster_ip: str = field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())
    external_ips: tuple[str, ...] = field(name="externalIPs", default=())
    external_name: str = ""
    internal_traffic_policy: str = ""
    publish_not_ready_addresses: bool = False
    traffic_distribution: str = ""


class IngressAddress(Slice):
    ip: str = ""


class LoadBalancerStatus(Slice):
    ingress: tuple[IngressAddress, ...] = ()


class ServiceStatus(Slice):
    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(Slice):
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class EndpointPort(Slice):
    name: str = ""
    port: int | None = None
    protocol: str = "TCP"
    app_protocol: str = ""


class EndpointConditions(Slice):
    """Absent counts as ready and serving, and not as terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class TargetRef(Slice):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class Endpoint(Slice):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    target_ref: TargetRef | None = None
    node_name: str = ""
    zone: str = ""
    hostname: str = ""


class EndpointSlice(Slice):
    address_type: str = "IPv4"
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class ContainerPort(Slice):
    container_port: int = 0
    name: str = ""
    protocol: str = "TCP"


class SecurityContext(Slice):
    run_as_user: int | None = None


class Container(Slice):
    name: str = ""
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""
    security_context: SecurityContext | None = None


class PodSpec(Slice):
    service_account_name: str = ""
    node_name: str = ""
    host_network: bool = False
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    security_context: SecurityContext | None = None


class PodStatus(Slice):
    phase: str = ""
    pod_ip: str = field(name="podIP", default="")


class Pod(Slice):
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class Template(Slice):
    metadata: dict[str, Any] = {}
    spec: PodSpec = PodSpec()


class LabelExpression(Slice):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class LabelSelector(Slice):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelExpression, ...] = ()


class DeploymentSpec(Slice):
    replicas: int | None = None
    selector: LabelSelector = LabelSelector()
    template: Template = Template()


class Deployment(Slice):
    spec: DeploymentSpec = DeploymentSpec()


class Node(Slice):
    """Only its labels matter: they hold region and zone."""


class Namespace(Slice):
    """Only its labels matter."""


class ServiceAccount(Slice):
    """Only that it exists matters."""


class ConfigMap(Slice):
    data: dict[str, str] = {}


class Secret(Slice):
    """The keys of `data` matter; values stay in base64."""

    type: str = "Opaque"
    data: dict[str, str] = {}


class ServiceReference(Slice):
    name: str = ""
    namespace: str = ""


class WebhookClient(Slice):
    url: str | None = None
    service: ServiceReference | None = None


class Webhook(Slice):
    name: str = ""
    client_config: WebhookClient = WebhookClient()
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None


class WebhookConfiguration(Slice):
    """Of either kind: mutating or validating."""

    webhooks: tuple[Webhook, ...] = ()


class DefinedNames(Slice):
    kind: str = ""


class DefinitionSpec(Slice):
    group: str = ""
    names: DefinedNames = DefinedNames()


class Definition(Slice):
    """A CustomResourceDefinition: only which kind it defines matters."""

    spec: DefinitionSpec = DefinitionSpec()


class IngressBackendPort(Slice):
    name: str = ""
    number: int = 0


class IngressServiceBackend(Slice):
    name: str = ""
    port: IngressBackendPort = IngressBackendPort()


class IngressBackend(Slice):
    service: IngressServiceBackend | None = None


class IngressPath(Slice):
    path: str = ""
    path_type: str = ""
    backend: IngressBackend = IngressBackend()


class IngressHttp(Slice):
    paths: tuple[IngressPath, ...] = ()


class IngressRule(Slice):
    host: str = ""
    http: IngressHttp | None = None


class IngressTls(Slice):
    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Slice):
    ingress_class_name: str = ""
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTls, ...] = ()


class Ingress(Slice):
    spec: IngressSpec = IngressSpec()


class IngressClassSpec(Slice):
    controller: str = ""


class IngressClass(Slice):
    spec: IngressClassSpec = IngressClassSpec()
