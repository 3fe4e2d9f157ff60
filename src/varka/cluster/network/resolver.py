"""The `/etc/resolv.conf` of a pod, from its dnsPolicy and dnsConfig (Kubernetes: DNS for Services and Pods). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOST_NAMESERVERS = 3


def resolv_conf(namespace: str, policy: str, config: Mapping[str, Any] | None = None, *, dns_ip: str = "10.96.0.10", domain: str = "cluster.local") -> str:
    """The file's content. With policy `Default` a pod uses the cluster's name server without its search list: names outside go to the host's resolver."""
    servers, searches, options = [dns_ip], [f"{namespace}.svc.{domain}", f"svc.{domain}", domain], {"ndots": "5"}
    if policy == "Default":
        searches, options = [], {}
    elif policy == "None":
        servers, searches, options = [], [], {}
    extra = config or {}
    servers = _unique([*servers, *extra.get("nameservers", [])])[:_MOST_NAMESERVERS]
    searches = _unique([*searches, *extra.get("searches", [])])
    for option in extra.get("options", []):
        options[option["name"]] = str(option.get("value") or "")
    lines = []
    if searches:
        lines.append("search " + " ".join(searches))
    lines += [f"nameserver {server}" for server in servers]
    if options:
        lines.append("options " + " ".join(f"{name}:{value}" if value else name for name, value in options.items()))
    return "\n".join(lines) + "\n"


def _unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))
