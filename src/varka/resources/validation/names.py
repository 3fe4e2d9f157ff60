"""Checks of names that several kinds share: domains, ports, labels, addresses, namespaces to export to, selectors."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from varka.resources.selection import TargetReference, WorkloadSelector
from varka.resources.validation.findings import Findings

_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_DNS_LABEL = re.compile(f"{_LABEL}")
_FIRST_LABEL = re.compile(rf"(\*|(\*|\*-)?{_LABEL})")
_KEY = re.compile(r"([a-zA-Z0-9](?:[-a-zA-Z0-9_.]*[a-zA-Z0-9])?/)?[a-zA-Z0-9](?:[-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?")
_VALUE = re.compile(r"([a-zA-Z0-9](?:[-a-zA-Z0-9_.]{0,61}[a-zA-Z0-9])?)?")
_TARGETS = {("gateway.networking.k8s.io", "Gateway"), ("gateway.networking.k8s.io", "GatewayClass"), ("", "Service"), ("networking.istio.io", "ServiceEntry")}


def domain_problem(name: str, wildcard: bool = True) -> str:
    """What is wrong with a domain name, or nothing."""
    if not name:
        return "domain name must not be empty"
    if len(name) > 255:
        return f"domain name {name!r} is longer than 255 characters"
    if wildcard and name == "*":
        return ""
    if not name.isascii():
        return f"domain name {name!r} is invalid: write an international name in its ASCII form{_ascii_form(name)}"
    labels = name.removesuffix(".").split(".")
    if not (_FIRST_LABEL if wildcard else _DNS_LABEL).fullmatch(labels[0]) or not all(map(_DNS_LABEL.fullmatch, labels[1:])):
        return f"domain name {name!r} is invalid: write labels of letters, digits and hyphens, and a wildcard only at the beginning"
    if labels[-1].isdecimal() and (len(labels) > 1 or not wildcard):
        return f"domain name {name!r} is invalid: the top level domain cannot be all-numeric"
    return ""


def _ascii_form(name: str) -> str:
    wildcard = "*." if name.startswith("*.") else ""
    try:
        return f", {wildcard}{name.removeprefix(wildcard).encode('idna').decode()}"
    except UnicodeError:
        return ""


def is_partial_wildcard(name: str) -> bool:
    """A `*` that stands for a part of a label, as in `*example.com`."""
    return name.startswith("*") and name != "*" and not name.startswith("*.")


def check_domain(name: str, path: str, found: Findings, wildcard: bool = True) -> bool:
    """Check a domain name; whether it is one."""
    problem = domain_problem(name, wildcard)
    if problem:
        found.error(path, problem)
    return not problem


def covers(pattern: str, host: str) -> bool:
    """Whether a name or wildcard includes another."""
    if pattern == "*" or pattern == host:
        return True
    return pattern.startswith("*") and host != "*" and host.removeprefix("*").endswith(pattern[1:])


def is_label(name: str) -> bool:
    """Whether a name is one DNS label."""
    return len(name) <= 63 and _DNS_LABEL.fullmatch(name) is not None


def check_host(where: str, name: str, path: str, found: Findings, addresses: bool = False) -> None:
    """Check the two parts of `namespace/host`: a host is a whole name, or a wildcard for whole labels of one."""
    if where not in {"*", "."} and not is_label(where):
        found.error(path, f"invalid namespace value {where!r}; write a namespace, '.' or '*'")
    if is_partial_wildcard(name):
        found.error(path, f'partial wildcard "{name}" not allowed')
    elif not (addresses and is_ip(name)) and check_domain(name, path, found) and name != "*" and "." not in name:
        found.error(path, f"short names (non FQDN) are not allowed: write {name!r} with its domain")


def check_port(number: int | None, path: str, found: Findings) -> None:
    """Check a port number."""
    if number is None or not 1 <= number <= 65535:
        found.error(path, f"port number {number} must be in the range 1..65535")


def is_ip(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_subnet(text: str) -> bool:
    """Whether a text is an IP address or a CIDR block."""
    _, slash, length = text.partition("/")
    if slash and not (length.isascii() and length.isdecimal()):
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def check_labels(labels: Mapping[str, str], path: str, found: Findings) -> None:
    """Check keys and values of labels."""
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            found.error(f"{path}[{key}]", f"invalid label key {key!r}")
        if not _VALUE.fullmatch(value):
            found.error(f"{path}[{key}]", f"invalid label value {value!r}")


def check_gateways(given: Iterable[str], path: str, found: Findings) -> None:
    """Check references to Gateways: `namespace/name`, a name of the own namespace, `mesh`, or the older domain name."""
    for index, name in enumerate(given):
        where = f"{path}[{index}]"
        namespace, slash, rest = name.partition("/")
        if slash:
            if not is_label(namespace) or not is_label(rest):
                found.error(where, f"{name!r} is not a gateway; write namespace/name")
            continue
        if "." in name:
            found.warning(where, f"using legacy gatewayName format {name!r}; prefer the <namespace>/<name> format")
        if not name:
            found.error(where, "gateway name must not be empty")
        else:
            check_domain(name, where, found, wildcard=False)


def check_export_to(values: Iterable[str], namespace: str, path: str, found: Findings, nobody: bool = False) -> None:
    """Check the namespaces of an exportTo; `nobody`: whether `~` has a meaning for this kind."""
    given = tuple(values)
    for index, value in enumerate(given):
        if value not in {"*", ".", "~"} and not is_label(value):
            found.error(f"{path}[{index}]", f"{value!r} is not a namespace; use a namespace, '.' or '*'")
        elif value == "~" and not nobody:
            found.error(f"{path}[{index}]", "'~' is for service entries only; use '.' for the own namespace")
    if len({namespace if value == "." else value for value in given}) != len(given):
        found.error(path, "duplicate entries in exportTo; '.' is the own namespace")
    if len(given) > 1 and ("*" in given or "~" in given):
        found.error(path, "'*' and '~' in exportTo must stand alone")


def check_selector(selector: WorkloadSelector | None, path: str, found: Findings) -> None:
    """Check the selector of a policy."""
    if selector is None:
        return
    if not selector.match_labels:
        found.warning(path, "workload selector specified without labels, will be applied to all workloads in the namespace")
    check_match_labels(selector.match_labels, path, found)


def check_match_labels(labels: Mapping[str, str], path: str, found: Findings) -> None:
    """Check the labels that a selector asks for."""
    for key, value in labels.items():
        if not key:
            found.error(path, f"empty key is not supported in selector: {key}={value}")
        if "*" in key or "*" in value:
            found.error(path, f"wildcard is not supported in selector: {key}={value}")


def check_targets(selector: WorkloadSelector | None, target: TargetReference | None, targets: tuple[TargetReference, ...], found: Findings) -> None:
    """Check how a policy names its targets: by a selector, one reference, or several."""
    if sum((selector is not None, target is not None, bool(targets))) > 1:
        found.error("spec", "only one of targetRefs or workloadSelector can be set")
    check_selector(selector, "spec.selector", found)
    for path, reference in [("spec.targetRef", target), *((f"spec.targetRefs[{index}]", item) for index, item in enumerate(targets))]:
        if reference is None:
            continue
        if not reference.name:
            found.error(f"{path}.name", "targetRef name must be set")
        if reference.namespace:
            found.error(f"{path}.namespace", "targetRef namespace must not be set; cross namespace referencing is not supported")
        if (reference.group, reference.kind) not in _TARGETS:
            found.error(path, f"targetRef must be to one of [/v1/Service] but was {reference.group}/{reference.kind}")
