"""Every kind of message that an analyzer can give; codes, names, levels and wording are those that people know from Istio."""

from __future__ import annotations

from varka.analysis.messages import Level, Type

_INFO, _WARNING, _ERROR = Level.INFO, Level.WARNING, Level.ERROR

DEPRECATED = Type("Deprecated", "IST0002", _WARNING, "Deprecated: {}")
REFERENCED_RESOURCE_NOT_FOUND = Type("ReferencedResourceNotFound", "IST0101", _ERROR, 'Referenced {} not found: "{}"')
NAMESPACE_NOT_INJECTED = Type(
    "NamespaceNotInjected",
    "IST0102",
    _INFO,
    "The namespace is not enabled for Istio injection. Run 'kubectl label namespace {0} istio-injection=enabled' to enable it, "
    "or 'kubectl label namespace {0} istio-injection=disabled' to explicitly mark it as not needing injection.",
)
POD_MISSING_PROXY = Type(
    "PodMissingProxy",
    "IST0103",
    _WARNING,
    "The pod {} is missing the Istio proxy. This can often be resolved by restarting or redeploying the workload.",
)
SCHEMA_VALIDATION_ERROR = Type("SchemaValidationError", "IST0106", _ERROR, "Schema validation error: {}")
MISPLACED_ANNOTATION = Type("MisplacedAnnotation", "IST0107", _WARNING, "Misplaced annotation: {} can only be applied to {}")
UNKNOWN_ANNOTATION = Type("UnknownAnnotation", "IST0108", _WARNING, "Unknown annotation: {}")
CONFLICTING_MESH_HOSTS = Type(
    "ConflictingMeshGatewayVirtualServiceHosts",
    "IST0109",
    _ERROR,
    "The VirtualServices {} associated with mesh gateway define the same host {} which can lead to undefined behavior. "
    "This can be fixed by merging the conflicting VirtualServices into a single resource.",
)
CONFLICTING_SIDECARS = Type(
    "ConflictingSidecarWorkloadSelectors",
    "IST0110",
    _ERROR,
    'The Sidecars {} in namespace "{}" select the same workload pod "{}", which can lead to undefined behavior.',
)
MULTIPLE_SIDECARS = Type(
    "MultipleSidecarsWithoutWorkloadSelectors",
    "IST0111",
    _ERROR,
    'The Sidecars {} in namespace "{}" have no workload selector, which can lead to undefined behavior.',
)
PORT_SELECTOR_REQUIRED = Type(
    "VirtualServiceDestinationPortSelectorRequired",
    "IST0112",
    _ERROR,
    'This VirtualService routes to a service "{}" that exposes multiple ports {}. Specifying a port in the destination is required to disambiguate.',
)
MULTIPLE_SERVICES = Type(
    "DeploymentAssociatedToMultipleServices",
    "IST0116",
    _WARNING,
    "This deployment {} is associated with multiple services using port {} but different protocols: {}",
)
PORT_NAME = Type(
    "PortNameIsNotUnderNamingConvention",
    "IST0118",
    _INFO,
    "Port name {} (port: {}, targetPort: {}) doesn't follow the naming convention of Istio port.",
)
MULTIPLE_INJECTION_LABELS = Type(
    "NamespaceMultipleInjectionLabels",
    "IST0123",
    _WARNING,
    "The namespace has more than one type of injection labels {}, which may lead to undefined behavior. Make sure only one injection label exists.",
)
INVALID_ANNOTATION = Type("InvalidAnnotation", "IST0125", _WARNING, "Invalid annotation {}: {}")
UNKNOWN_REGISTRY = Type("UnknownMeshNetworksServiceRegistry", "IST0126", _ERROR, "Unknown service registry {} in network {}")
NO_MATCHING_WORKLOADS = Type("NoMatchingWorkloadsFound", "IST0127", _WARNING, "No matching workloads for this resource with the following labels: {}")
NO_CA_DESTINATION = Type(
    "NoServerCertificateVerificationDestinationLevel",
    "IST0128",
    _WARNING,
    "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server identity for host: {}",
)
NO_CA_PORT = Type(
    "NoServerCertificateVerificationPortLevel",
    "IST0129",
    _WARNING,
    "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate server identity for host: {} at port {}",
)
UNREACHABLE_RULE = Type("VirtualServiceUnreachableRule", "IST0130", _WARNING, "VirtualService rule {} not used ({}).")
INEFFECTIVE_MATCH = Type(
    "VirtualServiceIneffectiveMatch",
    "IST0131",
    _INFO,
    "VirtualService rule {} match {} is not used (duplicate/overlapping match in rule {}).",
)
HOST_NOT_IN_GATEWAY = Type(
    "VirtualServiceHostNotFoundInGateway", "IST0132", _WARNING, "one or more host {} defined in VirtualService {} not found in Gateway {}."
)
SCHEMA_WARNING = Type("SchemaWarning", "IST0133", _WARNING, "Schema validation warning: {}")
ADDRESSES_REQUIRED = Type("ServiceEntryAddressesRequired", "IST0134", _WARNING, "ServiceEntry addresses are required for this protocol.")
DEPRECATED_ANNOTATION = Type("DeprecatedAnnotation", "IST0135", _INFO, 'Annotation "{}" has been deprecated{} and may not work in future Istio versions.')
CONFLICTING_PORTS = Type(
    "DeploymentConflictingPorts",
    "IST0137",
    _WARNING,
    'This deployment {} is associated with multiple services {} using targetPort "{}" but different ports: {}.',
)
DUPLICATE_CERTIFICATE = Type(
    "GatewayDuplicateCertificate",
    "IST0138",
    _WARNING,
    "Duplicate certificate in multiple gateways {} may cause 404s if clients re-use HTTP2 connections.",
)
INVALID_WEBHOOK = Type("InvalidWebhook", "IST0139", _ERROR, "{}")
INGRESS_RULES_NOT_AFFECTED = Type(
    "IngressRouteRulesNotAffected", "IST0140", _WARNING, "Subset in virtual service {} has no effect on ingress gateway {} requests"
)
INVALID_USER_ID = Type("InvalidApplicationUID", "IST0144", _WARNING, "User ID (UID) 1337 is reserved for the sidecar proxy.")
CONFLICTING_GATEWAYS = Type("ConflictingGateways", "IST0145", _ERROR, "Conflict with gateways {} (workload selector {}, port {}, hosts {}).")
AUTO_IMAGE_WARNING = Type(
    "ImageAutoWithoutInjectionWarning",
    "IST0146",
    _WARNING,
    "{} {} contains `image: auto` but does not match any Istio injection webhook selectors.",
)
AUTO_IMAGE_ERROR = Type(
    "ImageAutoWithoutInjectionError",
    "IST0147",
    _ERROR,
    "{} {} contains `image: auto` but does not match any Istio injection webhook selectors.",
)
INJECTED_BY_DEFAULT = Type(
    "NamespaceInjectionEnabledByDefault",
    "IST0148",
    _INFO,
    "is enabled for Istio injection, as Istio is installed with enableNamespacesByDefault as true.",
)
CLAIMS_WITHOUT_AUTHENTICATION = Type(
    "JwtClaimBasedRoutingWithoutRequestAuthN",
    "IST0149",
    _ERROR,
    "The virtual service uses the JWT claim based routing (key: {}) but found no request authentication for the gateway ({}) pod ({}). "
    "The request authentication must first be applied for the gateway pods to validate the JWT token and make the claims available for routing.",
)
EXTERNAL_NAME_PORT = Type(
    "ExternalNameServiceTypeInvalidPortName",
    "IST0150",
    _WARNING,
    "Port name for ExternalName service is invalid. "
    "Proxy may prevent tcp named ports and unmatched traffic for ports serving TCP protocol from being forwarded correctly",
)
RELATIVE_OPERATION = Type(
    "EnvoyFilterUsesRelativeOperation",
    "IST0151",
    _WARNING,
    "This EnvoyFilter does not have a priority and has a relative patch operation set which can cause the EnvoyFilter not to be applied. "
    "Using the INSERT_FIRST of ADD option or setting the priority may help in ensuring the EnvoyFilter is applied correctly.",
)
REPLACE_MISUSED = Type(
    "EnvoyFilterUsesReplaceOperationIncorrectly", "IST0152", _ERROR, "The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER."
)
ADD_MISUSED = Type(
    "EnvoyFilterUsesAddOperationIncorrectly",
    "IST0153",
    _ERROR,
    "The ADD operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE.",
)
REMOVE_MISUSED = Type(
    "EnvoyFilterUsesRemoveOperationIncorrectly",
    "IST0154",
    _ERROR,
    "The REMOVE operation will be ignored when applyTo is set to ROUTE_CONFIGURATION, or HTTP_ROUTE.",
)
RELATIVE_OPERATION_WITH_VERSION = Type(
    "EnvoyFilterUsesRelativeOperationWithProxyVersion",
    "IST0155",
    _WARNING,
    "This EnvoyFilter does not have a priority and has a relative patch operation (NSTERT_BEFORE/AFTER, REPLACE, MERGE, DELETE) "
    "and proxyVersion set which can cause the EnvoyFilter not to be applied during an upgrade. "
    "Using the INSERT_FIRST or ADD option or setting the priority may help in ensuring the EnvoyFilter is applied correctly.",
)
INVALID_PROVIDER = Type("InvalidTelemetryProvider", "IST0157", _WARNING, 'The Telemetry {} in namespace "{}" with empty providers will be ignored.')
IMAGE_MISMATCH = Type(
    "PodsIstioProxyImageMismatchInNamespace",
    "IST0158",
    _WARNING,
    "The Istio proxy images of the pods running in the namespace do not match the image defined in the injection configuration (pod names: {}). "
    "This often happens after upgrading the Istio control-plane and can be fixed by redeploying the pods.",
)
CONFLICTING_TELEMETRIES = Type(
    "ConflictingTelemetryWorkloadSelectors",
    "IST0159",
    _ERROR,
    'The Telemetries {} in namespace "{}" select the same workload pod "{}", which can lead to undefined behavior.',
)
MULTIPLE_TELEMETRIES = Type(
    "MultipleTelemetriesWithoutWorkloadSelectors",
    "IST0160",
    _ERROR,
    'The Telemetries {} in namespace "{}" have no workload selector, which can lead to undefined behavior.',
)
INVALID_CREDENTIAL = Type(
    "InvalidGatewayCredential",
    "IST0161",
    _ERROR,
    "The credential referenced by the Gateway {} in namespace {} is invalid, which can cause the traffic not to work as expected.",
)
GATEWAY_PORT_NOT_ON_SERVICE = Type(
    "GatewayPortNotDefinedOnService",
    "IST0162",
    _WARNING,
    "The gateway is listening on a target port (port {}) that is not defined in the Service associated with its workload instances "
    "(Pod selector {}). If you need to access the gateway port through the gateway Service, it will not be available.",
)
INVALID_EXTERNAL_CONTROL_PLANE = Type(
    "InvalidExternalControlPlaneConfig",
    "IST0163",
    _WARNING,
    "The hostname ({}) that was provided for the webhook ({}) to reach the ingress gateway on the external control plane cluster {}. "
    "Traffic may not flow properly.",
)
EXTERNAL_ADDRESS_IS_NO_NAME = Type(
    "ExternalControlPlaneAddressIsNotAHostname",
    "IST0164",
    _INFO,
    "The address ({}) that was provided for the webhook ({}) to reach the ingress gateway on the external control plane cluster is an IP address. "
    "This is not recommended for a production environment.",
)
INTERNAL_GATEWAY = Type(
    "ReferencedInternalGateway",
    "IST0165",
    _WARNING,
    "Gateway reference in VirtualService {} is to an implementation-generated internal Gateway: {}.",
)
INEFFECTIVE_SELECTOR = Type("IneffectiveSelector", "IST0166", _WARNING, "Ineffective selector on Kubernetes Gateway {}. Use the TargetRef field instead.")
INCONSISTENT_SERVICE = Type(
    "MultiClusterInconsistentService",
    "IST0170",
    _WARNING,
    'The service {} in namespace "{}" is inconsistent across clusters "{}", which can lead to undefined behaviors. The inconsistent behaviors are: {}.',
)
NEGATIVE_CONDITION = Type("NegativeConditionStatus", "IST0171", _WARNING, "A condition with a negative status is present: type={}, reason={}, message={}.")
SUBSET_SELECTS_NO_PODS = Type(
    "DestinationRuleSubsetNotSelectPods",
    "IST0173",
    _ERROR,
    "The Subset {} defined in the DestinationRule does not select any pods. Which may lead to 503 UH (NoHealthyUpstream).",
)
UNKNOWN_DESTINATION_HOST = Type(
    "UnknownDestinationRuleHost", "IST0174", _WARNING, "The host {} defined in the DestinationRule does not match any services in the mesh."
)

TYPES: tuple[Type, ...] = tuple(sorted((item for item in tuple(globals().values()) if isinstance(item, Type)), key=lambda item: item.code))
"""All of them, by code."""

ELSEWHERE = {
    "IST0001": "InternalError",
    "IST0141": "InsufficientPermissions",
    "IST0142": "UnsupportedKubernetesVersion",
    "IST0143": "LocalhostListener",
    "IST0156": "UnsupportedGatewayAPIVersion",
    "IST0167": "IneffectivePolicy",
    "IST0168": "UnknownUpgradeCompatibility",
    "IST0169": "UpdateIncompatibility",
    "IST0172": "FutureUnsupportedGatewayAPIVersion",
}
"""Messages of the checks before an installation or an upgrade, and of ambient mode: no analyzer of a sidecar mesh gives them."""

CODES = {item.code: item.name for item in TYPES} | ELSEWHERE
"""Code → name of all that `--suppress` may name."""
