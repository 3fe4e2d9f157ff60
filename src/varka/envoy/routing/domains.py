"""The names under which a service is asked for: what may stand in the Host header of a request to it.

A client in a Kubernetes namespace may leave out what its own name shares with the service's: `reviews`,
`reviews.default`, `reviews.default.svc` all mean `reviews.default.svc.cluster.local` in namespace `default`.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address


def of_host(host: str, dns_domain: str, addresses: Iterable[str] = (), proxy_ips: Iterable[str] = ()) -> tuple[str, ...]:
    """All domains of one host as seen from a proxy, each once; addresses of a family that the proxy has not are left out.

    `dns_domain` is `<namespace>.svc.<cluster domain>` for a proxy on Kubernetes.
    """
    if _family(host) == 6:
        return (f"[{host}]",)
    found = [host]
    if host != "*" and not host.startswith("*") and not _family(host):
        found += [host + ".", *_short(host, dns_domain)]
    families = {_family(ip) for ip in proxy_ips if ip} or {4}
    for address in addresses:
        family = _family(address)
        if family in families and address != "0.0.0.0" and address != "::":
            found.append(f"[{address}]" if family == 6 else address)
    return tuple(dict.fromkeys(found))


def _family(text: str) -> int:
    try:
        return ip_address(text).version
    except ValueError:
        return 0


def _short(host: str, dns_domain: str) -> list[str]:
    if ".svc." in dns_domain:
        own, _, cluster_domain = dns_domain.partition(".svc.")
        name, _, namespace = host.partition(".svc.")[0].partition(".")
        if not namespace or host != f"{name}.{namespace}.svc.{cluster_domain}":
            return []
        shorter = [f"{name}.{namespace}.svc", f"{name}.{namespace}"]
        return [name, *shorter] if namespace == own else shorter
    theirs, ours = host.split("."), dns_domain.split(".")
    shared = 0
    while shared < min(len(theirs), len(ours)) and theirs[-1 - shared] == ours[-1 - shared]:
        shared += 1
    unique = ".".join(theirs[: len(theirs) - shared])
    return [unique] if shared and unique else []
