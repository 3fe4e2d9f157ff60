"""The files that every pod has in /etc: hosts, hostname and resolv.conf."""

from __future__ import annotations

from pathlib import Path

from varka.client.api import Object


def write(folder: Path, pod: Object, hostname: str, cluster_domain: str, resolv_conf: str) -> None:
    """Write the three files of a pod whose status has its address."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts").write_text(hosts(pod, hostname, cluster_domain))
    (folder / "hostname").write_text(hostname + "\n")
    (folder / "resolv.conf").write_text(resolv_conf)


def hosts(pod: Object, hostname: str, cluster_domain: str) -> str:
    """/etc/hosts: the pod's own name, then its hostAliases."""
    spec = pod["spec"]
    lines = ["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    if not spec.get("hostNetwork"):
        domain = f"{hostname}.{spec['subdomain']}.{pod['metadata']['namespace']}.svc.{cluster_domain}\t" if spec.get("subdomain") else ""
        lines.append(f"{pod['status']['podIP']}\t{domain}{hostname}")
    if spec.get("hostAliases"):
        lines += ["", "# Entries added by HostAliases."]
        lines += [f"{entry['ip']}\t" + "\t".join(entry.get("hostnames") or []) for entry in spec["hostAliases"]]
    return "\n".join(lines) + "\n"
