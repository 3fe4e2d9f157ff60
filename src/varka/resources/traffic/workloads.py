"""WorkloadEntry and WorkloadGroup: workloads that are no pods, and the pattern by which several of them are made."""

from __future__ import annotations

from typing import Annotated, ClassVar

from varka.resources.schema import NonEmpty, PortNumber, Schema, Spec, UInt32

_Rules = tuple[tuple[str, str], ...]
_ADDRESS: _Rules = (
    ('self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true', "UDS must be an absolute path or abstract socket"),
    ('self.startsWith("unix://") ? !self.endsWith("/") : true', "UDS may not be a dir"),
)
_PORT_NAMES: _Rules = (('self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))', "port name must be valid"),)
_SOCKETS: _Rules = (('(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true', "UDS may not include ports"),)
ADDRESS_RULES: _Rules = (("has(self.address) || has(self.network)", "Address is required"), *_SOCKETS)
Unsigned31 = Annotated[int, Schema(format="int32", minimum=0)]


class WorkloadTemplate(Spec):
    """What the entries of a group have in common."""

    schema_rules: ClassVar[_Rules] = _SOCKETS

    address: Annotated[str, Schema(maxLength=256, rules=_ADDRESS)] = ""
    ports: Annotated[dict[str, PortNumber], Schema(maxProperties=128, rules=_PORT_NAMES)] = {}
    labels: Annotated[dict[str, str], Schema(maxProperties=256)] = {}
    network: Annotated[str, Schema(maxLength=2048)] = ""
    locality: Annotated[str, Schema(maxLength=2048)] = ""
    weight: UInt32 | None = None
    service_account: Annotated[str, Schema(maxLength=253)] = ""


class WorkloadEntry(WorkloadTemplate):
    """One workload by its address."""

    schema_rules: ClassVar[_Rules] = ADDRESS_RULES


class GroupMetadata(Spec):
    """Labels and annotations for the entries of a group."""

    labels: Annotated[dict[str, str], Schema(maxProperties=256)] = {}
    annotations: Annotated[dict[str, str], Schema(maxProperties=256)] = {}


class HttpHeader(Spec):
    """A header of the probe."""

    name: Annotated[str, Schema(pattern="^[-_A-Za-z0-9]+$")] = ""
    value: str = ""


class HttpProbe(Spec):
    """A GET that must be answered with 2xx or 3xx."""

    path: str = ""
    port: Annotated[PortNumber, Schema(required=True)] = 0
    host: str = ""
    scheme: Annotated[str, Schema(rules=(('self in ["", "HTTP", "HTTPS"]', "scheme must be one of [HTTP, HTTPS]"),))] = ""
    http_headers: tuple[HttpHeader, ...] = ()


class TcpProbe(Spec):
    """A connection that must be accepted."""

    host: str = ""
    port: Annotated[PortNumber, Schema(required=True)] = 0


class ExecProbe(Spec):
    """A command that must end with 0."""

    command: Annotated[tuple[NonEmpty, ...], Schema(required=True)] = ()


class GrpcProbe(Spec):
    """A health check over gRPC."""

    port: PortNumber = 0
    service: str = ""


class ReadinessProbe(Spec):
    """How to find out that an entry is ready."""

    schema_one_of = (("httpGet", "tcpSocket", "exec", "grpc"),)

    initial_delay_seconds: Unsigned31 = 0
    timeout_seconds: Unsigned31 = 0
    period_seconds: Unsigned31 = 0
    success_threshold: Unsigned31 = 0
    failure_threshold: Unsigned31 = 0
    http_get: HttpProbe | None = None
    tcp_socket: TcpProbe | None = None
    exec: ExecProbe | None = None
    grpc: GrpcProbe | None = None


class WorkloadGroup(Spec):
    """A pattern for entries that register by themselves."""

    metadata: GroupMetadata | None = None
    template: Annotated[WorkloadTemplate | None, Schema(required=True)] = None
    probe: ReadinessProbe | None = None
