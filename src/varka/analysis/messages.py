"""The messages of `istioctl analyze`: codes, names and levels as people know them from Istio, and how each is worded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from varka.resources import Meta


class Level(IntEnum):
    """How bad a finding is; the worst is the greatest."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def title(self) -> str:
        """As it is printed."""
        return self.name.capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One finding about one resource. `path` is the field, empty for the resource as a whole."""

    code: str
    type: str
    """Name of the kind of message, as `SchemaValidationError`."""
    level: Level
    kind: str
    namespace: str
    name: str
    text: str
    path: str = ""

    @property
    def resource(self) -> str:
        """`Kind namespace/name`, or `Kind name`."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @property
    def line(self) -> str:
        """As `istioctl analyze` prints it."""
        return f"{self.level.title} [{self.code}] ({self.resource}) {self.text}"

    def order(self) -> tuple[int, str, str, str, str]:
        """Sorts the worst first, then by code and resource."""
        return (-self.level, self.code, self.resource, self.path, self.text)


class Subject(Protocol):
    """What a message can be about."""

    @property
    def kind(self) -> str: ...

    @property
    def meta(self) -> Meta: ...


@dataclass(frozen=True, slots=True)
class Type:
    """A kind of message; `template` takes positional values."""

    name: str
    code: str
    level: Level
    template: str

    def about(self, resource: Subject, *values: object, path: str = "") -> Message:
        """The message about a resource."""
        meta = resource.meta
        return Message(
            code=self.code,
            level=self.level,
            type=self.name,
            kind=resource.kind,
            namespace=meta.namespace,
            name=meta.name,
            text=self.template.format(*values),
            path=path,
        )


REFERENCED_RESOURCE_NOT_FOUND = Type("ReferencedResourceNotFound", "IST0101", Level.ERROR, 'Referenced {} not found: "{}"')
NAMESPACE_NOT_INJECTED = Type(
    "NamespaceNotInjected",
    "IST0102",
    Level.INFO,
    "The namespace is not enabled for Istio injection. Run 'kubectl label namespace {0} istio-injection=enabled' to enable it, "
    "or 'kubectl label namespace {0} istio-injection=disabled' to explicitly mark it as not needing injection.",
)
POD_MISSING_PROXY = Type(
    "PodMissingProxy",
    "IST0103",
    Level.WARNING,
    "The pod {} is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.",
)
SCHEMA_VALIDATION_ERROR = Type("SchemaValidationError", "IST0106", Level.ERROR, "Schema validation error: {}")
CONFLICTING_MESH_HOSTS = Type(
    "ConflictingMeshGatewayVirtualServiceHosts",
    "IST0109",
    Level.ERROR,
    "The VirtualServices {} associated with mesh gateway define the same host {} which can lead to undefined behavior. "
    "This can be fixed by merging the conflicting VirtualServices into a single resource.",
)
PORT_SELECTOR_REQUIRED = Type(
    "VirtualServiceDestinationPortSelectorRequired",
    "IST0112",
    Level.ERROR,
    'This VirtualService routes to a service "{}" that exposes multiple ports {}. Specifying a port in the destination is required to disambiguate.',
)
MULTIPLE_SERVICES = Type(
    "DeploymentAssociatedToMultipleServices",
    "IST0116",
    Level.WARNING,
    "This deployment {} is associated with multiple services using port {} but different protocols: {}",
)
PORT_NAME = Type(
    "PortNameIsNotUnderNamingConvention",
    "IST0118",
    Level.INFO,
    "Port name {} (port: {}, targetPort: {}) doesn't follow the naming convention of Istio port.",
)
MULTIPLE_INJECTION_LABELS = Type(
    "NamespaceMultipleInjectionLabels",
    "IST0123",
    Level.WARNING,
    "The namespace has more than one type of injection labels {}, which may lead to undefined behavior. Make sure only one injection label exists.",
)
NO_MATCHING_WORKLOADS = Type("NoMatchingWorkloadsFound", "IST0127", Level.WARNING, "No matching workloads for this resource with the following labels: {}")
NO_CA_DESTINATION = Type(
    "NoServerCertificateVerificationDestinationLevel",
    "IST0128",
    Level.WARNING,
    "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server identity for host: {}",
)
NO_CA_PORT = Type(
    "NoServerCertificateVerificationPortLevel",
    "IST0129",
    Level.WARNING,
    "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server identity for host: {} at port {}",
)
UNREACHABLE_RULE = Type("VirtualServiceUnreachableRule", "IST0130", Level.WARNING, "VirtualService rule {} not used ({}).")
HOST_NOT_IN_GATEWAY = Type(
    "VirtualServiceHostNotFoundInGateway", "IST0132", Level.WARNING, "one or more host {} defined in VirtualService {} not found in Gateway {}."
)
SCHEMA_WARNING = Type("SchemaWarning", "IST0133", Level.WARNING, "Schema validation warning: {}")
ADDRESSES_REQUIRED = Type("ServiceEntryAddressesRequired", "IST0134", Level.WARNING, "ServiceEntry addresses are required for this protocol.")
CONFLICTING_PORTS = Type(
    "DeploymentConflictingPorts",
    "IST0137",
    Level.WARNING,
    'This deployment {} is associated with multiple services {} using targetPort "{}" but different ports: {}.',
)
INVALID_USER_ID = Type("InvalidApplicationUID", "IST0144", Level.WARNING, "User ID (UID) 1337 is reserved for the sidecar proxy.")
CONFLICTING_GATEWAYS = Type("ConflictingGateways", "IST0145", Level.ERROR, "Conflict with gateways {} (workload selector {}, port {}, hosts {}).")
GATEWAY_PORT_NOT_ON_SERVICE = Type(
    "GatewayPortNotDefinedOnService",
    "IST0162",
    Level.WARNING,
    "The gateway is listening on a target port (port {}) that is not defined in the Service associated with its workload instances "
    "(Pod selector {}). If you need to access the gateway port through the gateway Service, it will not be available.",
)
INTERNAL_GATEWAY = Type(
    "ReferencedInternalGateway",
    "IST0165",
    Level.WARNING,
    "Gateway reference in VirtualService {} is to an implementation-generated internal Gateway: {}.",
)
SUBSET_SELECTS_NO_PODS = Type(
    "DestinationRuleSubsetNotSelectPods",
    "IST0173",
    Level.ERROR,
    "The Subset {} defined in the DestinationRule does not select any pods. Which may lead to 503 UH (NoHealthyUpstream).",
)
UNKNOWN_DESTINATION_HOST = Type(
    "UnknownDestinationRuleHost", "IST0174", Level.WARNING, "The host {} defined in the DestinationRule does not match any services in the mesh."
)


NAMES = {item.code: item.name for item in tuple(globals().values()) if isinstance(item, Type)}
"""Code → name of every message that an analyzer here can give."""


def listed(items: object) -> str:
    """Values in brackets, as Go prints a list."""
    return f"[{' '.join(str(item) for item in items)}]" if isinstance(items, list | tuple | set | frozenset) else str(items)


def labels(selector: object) -> str:
    """Labels as `key=value,key=value`."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) if isinstance(selector, dict) else str(selector)
