"""GatewayClass, Gateway and ReferenceGrant: which ports are open for whom, and who may refer to whom."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from varka.resources.schema import Int32, NonEmpty, Schema, Spec

PortNumber = Annotated[int, Schema(format="int32", minimum=1, maximum=65535)]
Hostname = Annotated[str, Schema(minLength=1, maxLength=253)]


class ParametersReference(Spec):
    """An object with further settings."""

    group: Annotated[str, Schema(required=True)] = ""
    kind: Annotated[NonEmpty, Schema(required=True)] = ""
    name: Annotated[NonEmpty, Schema(required=True)] = ""
    namespace: str = ""


class GatewayClass(Spec):
    """A kind of gateway, and the controller that makes it work."""

    controller_name: Annotated[NonEmpty, Schema(required=True)] = ""
    parameters_ref: ParametersReference | None = None
    description: str = ""


class SecretReference(Spec):
    """A Secret with a certificate and its key."""

    group: str = ""
    kind: str = "Secret"
    name: Annotated[NonEmpty, Schema(required=True)] = ""
    namespace: str = ""


class FrontendValidation(Spec):
    """The authorities that clients' certificates are checked against."""

    ca_certificate_refs: tuple[SecretReference, ...] = ()


class ListenerTls(Spec):
    """TLS of a listener: ended here, or passed through."""

    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    certificate_refs: Annotated[tuple[SecretReference, ...], Schema(maxItems=64)] = ()
    frontend_validation: FrontendValidation | None = None
    options: dict[str, str] = {}


class LabelSelectorRequirement(Spec):
    """A condition on one label."""

    key: Annotated[str, Schema(required=True)] = ""
    operator: Annotated[str, Schema(required=True)] = ""
    values: tuple[str, ...] = ()


class LabelSelector(Spec):
    """Conditions on labels, all of which must hold."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class RouteNamespaces(Spec):
    """Namespaces whose routes may attach."""

    from_: Literal["All", "Selector", "Same", "None"] = msgspec.field(name="from", default="Same")
    selector: LabelSelector | None = None


class RouteGroupKind(Spec):
    """A kind of route."""

    group: str = "gateway.networking.k8s.io"
    kind: Annotated[NonEmpty, Schema(required=True)] = ""


class AllowedRoutes(Spec):
    """Routes that may attach to a listener."""

    namespaces: RouteNamespaces | None = None
    kinds: Annotated[tuple[RouteGroupKind, ...], Schema(maxItems=8)] = ()


class Listener(Spec):
    """A port that is open, for a protocol and perhaps for one host name."""

    name: Annotated[NonEmpty, Schema(required=True)] = ""
    hostname: Hostname = ""
    port: Annotated[PortNumber, Schema(required=True)] = 0
    protocol: Annotated[NonEmpty, Schema(required=True)] = ""
    tls: ListenerTls | None = None
    allowed_routes: AllowedRoutes | None = None


class GatewayAddress(Spec):
    """An address that is asked for."""

    type: str = "IPAddress"
    value: str = ""


class Infrastructure(Spec):
    """Labels and annotations for what is made for a gateway."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    parameters_ref: ParametersReference | None = None


class Gateway(Spec):
    """Listeners of one class."""

    gateway_class_name: Annotated[NonEmpty, Schema(required=True)] = ""
    listeners: Annotated[tuple[Listener, ...], Schema(required=True, minItems=1, maxItems=64)] = ()
    addresses: Annotated[tuple[GatewayAddress, ...], Schema(maxItems=16)] = ()
    infrastructure: Infrastructure | None = None


class GrantFrom(Spec):
    """Who may refer."""

    group: Annotated[str, Schema(required=True)] = ""
    kind: Annotated[NonEmpty, Schema(required=True)] = ""
    namespace: Annotated[NonEmpty, Schema(required=True)] = ""


class GrantTo(Spec):
    """To what; without a name to all of the kind."""

    group: Annotated[str, Schema(required=True)] = ""
    kind: Annotated[NonEmpty, Schema(required=True)] = ""
    name: str | None = None


class ReferenceGrant(Spec):
    """Permission for objects of other namespaces to refer to objects of this one."""

    from_: Annotated[tuple[GrantFrom, ...], Schema(required=True, minItems=1, maxItems=16)] = msgspec.field(name="from", default=())
    to: Annotated[tuple[GrantTo, ...], Schema(required=True, minItems=1, maxItems=16)] = ()


Weight = Annotated[Int32, Schema(minimum=0, maximum=1_000_000)]
