"""Traffic redirection in a pod: the arguments of `istio-iptables`, turned into one nftables ruleset.

Connections that the pod opens go to Envoy's outbound port and connections to the pod to its inbound port. Envoy's
own connections carry a socket mark, because inside an unprivileged user namespace all processes share one user id
and an owner match cannot tell them apart.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

PROXY_MARK = 1337
INBOUND_SOURCE = "127.0.0.6"
"""Envoy's source address for connections to its own application: never captured again (Istio's passthrough address)."""
TABLE = "istio"
DNS_PORT = 15053
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirection:
    """What is captured. `("*",)` means all, an empty tuple none; CIDRs and ports are as the user wrote them."""

    outbound_port: int = 15001
    inbound_port: int = 15006
    include_outbound_cidrs: tuple[str, ...] = ("*",)
    exclude_outbound_cidrs: tuple[str, ...] = ()
    include_outbound_ports: tuple[str, ...] = ()
    exclude_outbound_ports: tuple[str, ...] = ()
    include_inbound_ports: tuple[str, ...] = ("*",)
    exclude_inbound_ports: tuple[str, ...] = ()
    exclude_interfaces: tuple[str, ...] = ()
    virtual_interfaces: tuple[str, ...] = ()
    """Interfaces of virtual machines in the pod: what comes in there is what an application sends."""
    dns: bool = False
    """Queries to any name server go to the agent."""


class UnsupportedError(Exception):
    """The arguments ask for something that this redirection cannot do; the message says what to use instead."""


def parse(arguments: list[str], environment: Mapping[str, str] = NOTHING) -> Redirection:
    """Read the flags of `istio-iptables`, and ISTIO_META_DNS_CAPTURE; UnsupportedError for a mode or flag value that has no effect here."""
    parser = argparse.ArgumentParser(prog="istio-iptables", allow_abbrev=False)
    parser.add_argument("-p", "--envoy-port", type=int, default=15001)
    parser.add_argument("-z", "--inbound-capture-port", type=int, default=15006)
    parser.add_argument("-u", "--proxy-uid", default="1337")
    parser.add_argument("-g", "--proxy-gid", default="1337")
    parser.add_argument("-m", "--istio-inbound-interception-mode", default="REDIRECT")
    parser.add_argument("-i", "--istio-service-cidr", default="*")
    parser.add_argument("-x", "--istio-service-exclude-cidr", default="")
    parser.add_argument("-b", "--istio-inbound-ports", default="*")
    parser.add_argument("-d", "--istio-local-exclude-ports", default="")
    parser.add_argument("-q", "--istio-outbound-ports", default="")
    parser.add_argument("-o", "--istio-local-outbound-ports-exclude", default="")
    parser.add_argument("-c", "--istio-exclude-interfaces", default="")
    parser.add_argument("-k", "--kube-virt-interfaces", default="")
    parser.add_argument("--redirect-dns", action="store_true")
    parser.add_argument("--run-validation", action="store_true")
    parser.add_argument("--skip-rule-apply", action="store_true")
    parser.add_argument("--log_output_level", default="")
    found = parser.parse_args(arguments)
    if found.istio_inbound_interception_mode not in {"REDIRECT", ""}:
        raise UnsupportedError(f"interception mode {found.istio_inbound_interception_mode} is not supported; use REDIRECT or leave the annotation away")
    return Redirection(
        outbound_port=found.envoy_port,
        inbound_port=found.inbound_capture_port,
        include_outbound_cidrs=_list(found.istio_service_cidr),
        exclude_outbound_cidrs=_list(found.istio_service_exclude_cidr),
        include_outbound_ports=_list(found.istio_outbound_ports),
        exclude_outbound_ports=_list(found.istio_local_outbound_ports_exclude),
        include_inbound_ports=_list(found.istio_inbound_ports),
        exclude_inbound_ports=_list(found.istio_local_exclude_ports),
        exclude_interfaces=_list(found.istio_exclude_interfaces),
        virtual_interfaces=_list(found.kube_virt_interfaces),
        dns=found.redirect_dns or environment.get("ISTIO_META_DNS_CAPTURE", "").lower() in {"true", "1"},
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def ruleset(redirection: Redirection) -> str:
    """The ruleset as `nft -f` takes it; it replaces what an earlier run left."""
    lines = [
        f"table ip {TABLE}",
        f"delete table ip {TABLE}",
        f"table ip {TABLE} {{",
        "  chain inbound {",
        "    type nat hook prerouting priority dstnat; policy accept;",
        *(f"    {rule}" for rule in _inbound(redirection)),
        "  }",
        "  chain outbound {",
        "    type nat hook output priority -100; policy accept;",
        *(f"    {rule}" for rule in _outbound(redirection)),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _inbound(redirection: Redirection) -> list[str]:
    rules = _interfaces("iifname", redirection.exclude_interfaces)
    for name in redirection.virtual_interfaces:
        rules += _captured(name, redirection)
    if redirection.exclude_inbound_ports:
        rules.append(f"tcp dport {_ports(redirection.exclude_inbound_ports)} return")
    if redirection.include_inbound_ports:
        rules.append(f"{_port_match(redirection.include_inbound_ports)} redirect to :{redirection.inbound_port}")
    return rules


def _captured(interface: str, redirection: Redirection) -> list[str]:
    """Connections from a virtual machine, under the same exceptions as those of a process in the pod."""
    _interfaces("iifname", (interface,))
    on, to = f'iifname "{interface}"', f"redirect to :{redirection.outbound_port}"
    rules = []
    if redirection.exclude_outbound_ports:
        rules.append(f"{on} tcp dport {_ports(redirection.exclude_outbound_ports)} return")
    if redirection.exclude_outbound_cidrs:
        rules.append(f"{on} ip daddr {_cidrs(redirection.exclude_outbound_cidrs)} return")
    if "*" in redirection.include_outbound_cidrs:
        return [*rules, f"{on} meta l4proto tcp {to}"]
    if redirection.include_outbound_cidrs:
        rules.append(f"{on} ip daddr {_cidrs(redirection.include_outbound_cidrs)} meta l4proto tcp {to}")
    return [*rules, f"{on} return"]


def _outbound(redirection: Redirection) -> list[str]:
    own = f"meta mark {PROXY_MARK}"
    to = f"redirect to :{redirection.outbound_port}"
    rules = [
        *(_dns() if redirection.dns else ()),
        f'ip saddr {INBOUND_SOURCE} oifname "lo" return',
        f'{own} oifname "lo" ip daddr != 127.0.0.1 meta l4proto tcp redirect to :{redirection.inbound_port}',
        'oifname "lo" return',
        f"{own} return",
        *_interfaces("oifname", redirection.exclude_interfaces),
        "ip daddr 127.0.0.1 return",
    ]
    if redirection.exclude_outbound_ports:
        rules.append(f"tcp dport {_ports(redirection.exclude_outbound_ports)} return")
    if redirection.exclude_outbound_cidrs:
        rules.append(f"ip daddr {_cidrs(redirection.exclude_outbound_cidrs)} return")
    if redirection.include_outbound_ports:
        rules.append(f"{_port_match(redirection.include_outbound_ports)} {to}")
    if "*" in redirection.include_outbound_cidrs:
        rules.append(f"meta l4proto tcp {to}")
    elif redirection.include_outbound_cidrs:
        rules.append(f"ip daddr {_cidrs(redirection.include_outbound_cidrs)} meta l4proto tcp {to}")
    return rules


def _dns() -> list[str]:
    """First of all, since name servers may be on any address; the agent's own queries carry the mark."""
    return [f"meta mark != {PROXY_MARK} {protocol} dport 53 redirect to :{DNS_PORT}" for protocol in ("udp", "tcp")]


def _interfaces(key: str, names: tuple[str, ...]) -> list[str]:
    for name in names:
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise UnsupportedError(f"{name!r} is not the name of a network interface")
    return [f'{key} "{name}" return' for name in names]


def _port_match(ports: tuple[str, ...]) -> str:
    return "meta l4proto tcp" if "*" in ports else f"tcp dport {_ports(ports)}"


def _ports(ports: tuple[str, ...]) -> str:
    for port in ports:
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise UnsupportedError(f"{port!r} is not a port; give numbers from 1 to 65535, separated by commas")
    return "{ " + ", ".join(ports) + " }"


def _cidrs(cidrs: tuple[str, ...]) -> str:
    try:
        networks = ipaddress.collapse_addresses(ipaddress.IPv4Network(cidr, strict=False) for cidr in cidrs)
        return "{ " + ", ".join(str(network) for network in networks) + " }"
    except ValueError as error:
        raise UnsupportedError(f"{error}; give IPv4 ranges such as 10.96.0.0/16, separated by commas") from error


def main(arguments: list[str]) -> int:
    """Apply the redirection in the current network namespace; the exit code."""
    try:
        text = ruleset(parse(arguments, os.environ))
    except UnsupportedError as error:
        print(f"istio-iptables: {error}", file=sys.stderr)
        return 1
    if "--skip-rule-apply" not in arguments:
        try:
            done = subprocess.run(["nft", "-f", "-"], input=text, text=True, capture_output=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"istio-iptables: cannot run nft: {error}; install the package nftables", file=sys.stderr)
            return 1
        if done.returncode != 0:
            print(f"istio-iptables: nft refused the ruleset: {done.stderr.strip()}", file=sys.stderr)
            return 1
    print(text, end="")
    return 0
