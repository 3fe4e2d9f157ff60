"""The cluster table: Istio's cluster names taken apart, with the discovery type and the DestinationRule behind each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from varka.cli.istioctl.proxy_config import dump

HEADER = ("SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE")


class Parts(NamedTuple):
    """A name such as `outbound|9080|v1|reviews.default.svc.cluster.local`; a name of another form is all host."""

    host: str
    port: int
    subset: str
    direction: str


class Filter(NamedTuple):
    """What `--fqdn`, `--port`, `--subset` and `--direction` leave."""

    host: str = ""
    port: int = 0
    subset: str = ""
    direction: str = ""

    def passes(self, cluster: Mapping[str, Any]) -> bool:
        found = parts(str(cluster["name"]))
        return all(
            not wanted or wanted == has
            for wanted, has in ((self.host, found.host), (self.port, found.port), (self.subset, found.subset), (self.direction.lower(), found.direction))
        )


def parts(name: str) -> Parts:
    """Take a cluster's name apart."""
    separator = "|" if "|" in name else "_."
    fields = name.split(separator)
    if len(fields) < 4:
        return Parts(name, 0, "", "")
    direction, port, subset, host = (field.strip("_") if separator == "_." else field for field in fields[:4])
    return Parts(host, int(port) if port.isdigit() else 0, subset, direction.rstrip("_"))


def rows(clusters: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """One row a cluster, by host, port, subset and direction."""
    yield HEADER
    for cluster in sorted(clusters, key=lambda each: parts(str(each["name"]))):
        found = parts(str(cluster["name"]))
        named = [str(found.port), found.subset or "-", found.direction] if found.direction else ["-", "-", "-"]
        yield (found.host, *named, kind(cluster), rule(cluster))


def kind(cluster: Mapping[str, Any]) -> str:
    """The discovery type; of clusters by extension, its short name."""
    if "cluster_type" in cluster:
        return str(cluster["cluster_type"].get("name", "")).rpartition(".")[2].upper()
    return str(cluster.get("type", "STATIC"))


def rule(cluster: Mapping[str, Any]) -> str:
    """`name.namespace` of the DestinationRule."""
    found = dump.istio_config(cluster)
    return f"{found[1]}.{found[2]}" if found else ""
