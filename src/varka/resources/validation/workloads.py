"""WorkloadEntry and WorkloadGroup: an address that can be reached, labels, and one probe; ProxyConfig: whom it is for."""

from __future__ import annotations

from varka.resources.parsing import Meta
from varka.resources.traffic import workloads as written
from varka.resources.traffic.proxy_configs import ProxyConfig
from varka.resources.validation import names
from varka.resources.validation.findings import Findings


def check_entry(spec: written.WorkloadEntry, meta: Meta, found: Findings) -> None:
    """Check a whole WorkloadEntry."""
    check_address(spec, "spec", found)
    check_template(spec, "spec", found)


def check_address(entry: written.WorkloadTemplate, path: str, found: Findings) -> None:
    """Check that there is an address, and that it is one."""
    address = entry.address
    if not address:
        if entry.network:
            found.warning(f"{path}.address", "address is not set; requests go to the network's gateway")
        else:
            found.error(f"{path}.address", "address must be set")
    elif address.startswith("unix://"):
        check_socket(address, f"{path}.address", found)
        if entry.ports:
            found.error(f"{path}.ports", "unix endpoint must not include ports")
    elif not names.is_ip(address):
        names.check_domain(address, f"{path}.address", found, wildcard=False)


def check_socket(address: str, path: str, found: Findings) -> None:
    """Check the path of a UNIX socket."""
    rest = address.removeprefix("unix://")
    if not rest.startswith(("/", "@")):
        found.error(path, f"{address!r} is not an absolute path or an abstract socket")
    elif rest.startswith("/") and rest.endswith("/"):
        found.error(path, f"{address!r} is a folder, not a socket")


def check_template(entry: written.WorkloadTemplate, path: str, found: Findings) -> None:
    """Check labels and ports."""
    names.check_labels(entry.labels, f"{path}.labels", found)
    for name, number in entry.ports.items():
        names.check_port(number, f"{path}.ports[{name}]", found)
        if not names.is_label(name):
            found.error(f"{path}.ports[{name}]", f"{name!r} is not a name of a port")


def check_group(spec: written.WorkloadGroup, meta: Meta, found: Findings) -> None:
    """Check a whole WorkloadGroup."""
    if spec.metadata is not None:
        names.check_labels(spec.metadata.labels, "spec.metadata.labels", found)
    if spec.template is not None:
        check_template(spec.template, "spec.template", found)
    if spec.probe is not None:
        _check_probe(spec.probe, found)


def check_proxy_config(spec: ProxyConfig, meta: Meta, found: Findings) -> None:
    """Check a whole ProxyConfig."""
    names.check_selector(spec.selector, "spec.selector", found)


def _check_probe(probe: written.ReadinessProbe, found: Findings) -> None:
    methods = {"httpGet": probe.http_get, "tcpSocket": probe.tcp_socket, "exec": probe.exec, "grpc": probe.grpc}
    if all(method is None for method in methods.values()):
        found.error("spec.probe", "a probe needs one of httpGet, tcpSocket, exec, grpc")
    for name, method in (("httpGet", probe.http_get), ("tcpSocket", probe.tcp_socket), ("grpc", probe.grpc)):
        if method is not None:
            names.check_port(method.port, f"spec.probe.{name}.port", found)
    if probe.http_get is not None and probe.http_get.scheme not in {"", "HTTP", "HTTPS"}:
        found.error("spec.probe.httpGet.scheme", "scheme must be one of [HTTP, HTTPS]")
    if probe.exec is not None and not probe.exec.command:
        found.error("spec.probe.exec.command", "is required")
