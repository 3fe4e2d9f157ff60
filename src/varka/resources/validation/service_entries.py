"""ServiceEntry: hosts, addresses, ports and endpoints that fit the way in which endpoints are found."""

from __future__ import annotations

from varka.resources.parsing import Meta
from varka.resources.traffic import service_entries as written
from varka.resources.traffic.workloads import WorkloadEntry
from varka.resources.validation import names, workloads
from varka.resources.validation.findings import Findings
from varka.resources.validation.gateways import PROTOCOLS

_BY_ADDRESS = {"TCP", "HTTPS", "TLS", "MONGO", "REDIS", "MYSQL"}
_ALLOCATE = "networking.istio.io/enable-autoallocate-ip"
_TOLD_APART = {"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "HTTP_PROXY"}


def check(spec: written.ServiceEntry, meta: Meta, found: Findings) -> None:
    """Check a whole ServiceEntry."""
    _check_hosts(spec, found)
    _check_addresses(spec, found)
    _check_ports(spec, meta, found)
    if spec.workload_selector is not None:
        if not spec.workload_selector.labels:
            found.warning("spec.workloadSelector", "workload selector specified without labels, it selects nothing")
        names.check_match_labels(spec.workload_selector.labels, "spec.workloadSelector.labels", found)
        if spec.endpoints:
            found.error("spec", "only one of WorkloadSelector or Endpoints is allowed in Service Entry")
    _RESOLUTIONS[spec.resolution](spec, found)
    _check_endpoint_ports(spec, found)
    names.check_export_to(spec.export_to, meta.namespace, "spec.exportTo", found, nobody=True)


def _check_hosts(spec: written.ServiceEntry, found: Findings) -> None:
    if not spec.hosts:
        found.error("spec.hosts", "service entry must have at least one host")
    for index, host in enumerate(spec.hosts):
        path = f"spec.hosts[{index}]"
        if host == "*":
            found.error(path, "invalid host *; name a domain")
        elif names.check_domain(host, path, found) and names.is_partial_wildcard(host):
            found.warning(path, f"partial wildcard {host!r} matches no host by itself; write '*.' and the domain")
    apart = all(port.protocol.upper() in _TOLD_APART for port in spec.ports)
    if len(spec.hosts) > 1 and spec.resolution != "NONE" and not apart:
        found.error("spec.hosts", "multiple hosts provided with non-HTTP, non-TLS ports cannot be told apart")


def _check_addresses(spec: written.ServiceEntry, found: Findings) -> None:
    for index, address in enumerate(spec.addresses):
        path = f"spec.addresses[{index}]"
        if not names.is_subnet(address):
            found.error(path, f"{address!r} is not an IP address or CIDR block")
        elif "/" in address and spec.resolution not in {"NONE", "STATIC"}:
            found.error(path, "CIDR addresses are allowed only for NONE/STATIC resolution types")


def _check_ports(spec: written.ServiceEntry, meta: Meta, found: Findings) -> None:
    allocated = spec.resolution != "NONE" and meta.labels.get(_ALLOCATE, "").lower() != "false"
    seen_names: set[str] = set()
    seen_numbers: set[int] = set()
    for index, port in enumerate(spec.ports):
        path = f"spec.ports[{index}]"
        if port.name in seen_names:
            found.error(f"{path}.name", f"service entry port name {port.name!r} already defined")
        if port.number in seen_numbers:
            found.error(f"{path}.number", f"service entry port {port.number} already defined")
        seen_names.add(port.name)
        seen_numbers.add(port.number)
        names.check_port(port.number, f"{path}.number", found)
        if not names.is_label(port.name):
            found.error(f"{path}.name", f"invalid port name {port.name!r}")
        if port.protocol and port.protocol.upper() not in PROTOCOLS:
            found.error(f"{path}.protocol", f"invalid protocol {port.protocol!r}")
        if port.protocol.upper() in {"", "TCP"} and not spec.addresses and not allocated:
            found.warning(path, "addresses are required to tell connections to a TCP port from those to others on the same port")
        if port.target_port is not None:
            names.check_port(port.target_port, f"{path}.targetPort", found)
            if spec.resolution == "NONE":
                found.warning(f"{path}.targetPort", "targetPort has no effect with resolution NONE")


def _check_endpoint_ports(spec: written.ServiceEntry, found: Findings) -> None:
    known = {port.name for port in spec.ports}
    for index, entry in enumerate(spec.endpoints):
        path = f"spec.endpoints[{index}]"
        names.check_labels(entry.labels, f"{path}.labels", found)
        for name, number in entry.ports.items():
            names.check_port(number, f"{path}.ports[{name}]", found)
            if name not in known:
                found.error(f"{path}.ports[{name}]", f"endpoint port {name!r} is not defined by the service entry")


def _none(spec: written.ServiceEntry, found: Findings) -> None:
    if spec.endpoints:
        found.error("spec.endpoints", "no endpoints should be provided for resolution type none")
    if spec.workload_selector is not None:
        found.warning("spec.workloadSelector", "workloadSelector should not be set when resolution mode is NONE")


def _static(spec: written.ServiceEntry, found: Findings) -> None:
    sockets = [entry for entry in spec.endpoints if entry.address.startswith("unix://")]
    if sockets and len(spec.ports) != 1:
        found.error("spec.ports", "exactly 1 service port required for unix endpoints")
    for index, entry in enumerate(spec.endpoints):
        path = f"spec.endpoints[{index}]"
        if entry in sockets or not entry.address:
            workloads.check_address(entry, path, found)
        elif not names.is_ip(entry.address):
            found.error(f"{path}.address", f"{entry.address!r} is not a valid IP address; use resolution DNS for names")


def _dns(spec: written.ServiceEntry, found: Findings) -> None:
    if not spec.endpoints and spec.workload_selector is None:
        for index, host in enumerate(spec.hosts):
            if host.startswith("*"):
                found.error(f"spec.hosts[{index}]", f"hosts must be FQDN if no endpoints are provided for resolution mode {spec.resolution}")
    if spec.resolution == "DNS_ROUND_ROBIN" and len(spec.endpoints) > 1:
        found.error("spec.endpoints", "there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN")
    if len(spec.hosts) > 1 and spec.addresses and any(port.protocol.upper() in _BY_ADDRESS for port in spec.ports):
        found.warning("spec.hosts", "several hosts with the same addresses and a TCP or TLS port are told apart by the server name only")
    for index, entry in enumerate(spec.endpoints):
        _check_name(entry, f"spec.endpoints[{index}]", found)


def _check_name(entry: WorkloadEntry, path: str, found: Findings) -> None:
    if entry.address.startswith("unix://"):
        found.error(f"{path}.address", "unix endpoints need resolution STATIC")
    elif not entry.address:
        found.error(f"{path}.address", "is required: a name or an IP address")
    else:
        workloads.check_address(entry, path, found)


def _dynamic(spec: written.ServiceEntry, found: Findings) -> None:
    for index, host in enumerate(spec.hosts):
        if not host.startswith("*"):
            found.error(f"spec.hosts[{index}]", "hosts must be wildcards for resolution mode DYNAMIC_DNS")
    if spec.location == "MESH_INTERNAL":
        found.error("spec.location", "resolution mode DYNAMIC_DNS needs location MESH_EXTERNAL")
    if spec.endpoints:
        found.error("spec.endpoints", "no endpoints should be provided for resolution mode DYNAMIC_DNS")


_RESOLUTIONS = {"NONE": _none, "STATIC": _static, "DNS": _dns, "DNS_ROUND_ROBIN": _dns, "DYNAMIC_DNS": _dynamic}
