"""The environment of a container: its variables, what they refer to, and the addresses of services. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from varka.client.api import Object

Lookup = Callable[[str], Object | None]
_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.-][A-Za-z0-9_.-]*)\))")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MissingError(Exception):
    """A variable refers to something that is not there; the message is kubelet's."""


def build(pod: Object, container: Object, base: Mapping[str, str], find: Callable[[str, str], Object | None], services: Mapping[str, str]) -> dict[str, str]:
    """The variables of a container.

    `base` comes from the image; `find(kind, name)` gives a ConfigMap or Secret of the pod's namespace; MissingError names
    a required reference that leads nowhere.
    """
    built: dict[str, str] = {**base, **services}
    for source in container.get("envFrom") or []:
        built |= _from_all(source, find)
    for entry in container.get("env") or []:
        value = entry.get("value")
        if "valueFrom" in entry:
            value = _from_one(entry["valueFrom"], pod, container, find)
            if value is None:
                continue
        built[entry["name"]] = expand(str(value or ""), built)
    return built


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the variable, leave unknown ones, and turn `$$` into `$`."""

    def replaced(found: re.Match[str]) -> str:
        return "$" if found[1] == "$" else variables.get(found[2], found[0])

    return _REFERENCE.sub(replaced, text)


def _data(kind: str, obj: Object) -> dict[str, str]:
    from base64 import b64decode

    if kind == "secret":
        return {key: b64decode(value).decode(errors="replace") for key, value in (obj.get("data") or {}).items()}
    return dict(obj.get("data") or {})


def _from_all(source: Mapping[str, Any], find: Callable[[str, str], Object | None]) -> dict[str, str]:
    kind = "configmap" if "configMapRef" in source else "secret"
    reference = source.get("configMapRef") or source["secretRef"]
    found = find(kind, reference["name"])
    if found is None:
        if reference.get("optional"):
            return {}
        raise MissingError(f'{kind} "{reference["name"]}" not found')
    return {source.get("prefix", "") + key: value for key, value in _data(kind, found).items()}


def _from_one(source: Mapping[str, Any], pod: Object, container: Object, find: Callable[[str, str], Object | None]) -> str | None:
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource(pod, container, source["resourceFieldRef"])
    kind = "configmap" if "configMapKeyRef" in source else "secret"
    reference = source.get("configMapKeyRef") or source["secretKeyRef"]
    found = find(kind, reference["name"])
    if found is None:
        if reference.get("optional"):
            return None
        raise MissingError(f'{kind} "{reference["name"]}" not found')
    value = _data(kind, found).get(reference["key"])
    if value is None and not reference.get("optional"):
        namespace = pod["metadata"]["namespace"]
        raise MissingError(f"couldn't find key {reference['key']} in {'ConfigMap' if kind == 'configmap' else 'Secret'} {namespace}/{reference['name']}")
    return value


def field(pod: Object, path: str) -> str:
    """A field of the pod as the downward API gives it."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    keyed = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if keyed:
        return str((meta.get(keyed[1]) or {}).get(keyed[2], ""))
    if path in {"metadata.labels", "metadata.annotations"}:
        return quoted(meta.get(path.partition(".")[2]) or {})
    known: dict[str, str] = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": status.get("hostIP", ""),
        "status.hostIPs": status.get("hostIP", ""),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": ",".join(entry["ip"] for entry in status.get("podIPs") or []),
    }
    return known.get(path, "")


def quoted(values: Mapping[str, str]) -> str:
    """Labels or annotations as a downward file has them: `key="value"`, sorted, one a line."""
    import json

    return "\n".join(f"{key}={json.dumps(str(value), ensure_ascii=False)}" for key, value in sorted(values.items()))


def resource(pod: Object, container: Object, reference: Mapping[str, Any]) -> str:
    """A limit or request, divided and rounded up; without a limit, what the machine has."""
    import math
    import os

    from varka.cluster.apiserver import quantity

    name = reference.get("containerName")
    owner = next((each for each in pod["spec"]["containers"] if each["name"] == name), container) if name else container
    section, _, kind = str(reference["resource"]).partition(".")
    given = (owner.get("resources") or {}).get(section) or {}
    divisor = quantity.parse(str(reference.get("divisor") or "1")) or 1
    if kind in given:
        amount = quantity.parse(str(given[kind]))
    elif section == "requests":
        amount = quantity.parse("0")
    elif kind == "cpu":
        amount = quantity.parse(str(os.cpu_count() or 1))
    else:
        amount = quantity.parse(str(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    return str(math.ceil(amount / (divisor if divisor else 1)))


def of_services(services: Iterable[Object], namespace: str, *, links: bool) -> dict[str, str]:
    """The variables that tell where services are; without `links` only the API server's."""
    built: dict[str, str] = {}
    for service in services:
        meta, spec = service["metadata"], service["spec"]
        master = meta["namespace"] == "default" and meta["name"] == "kubernetes"
        address = spec.get("clusterIP")
        if not address or address == "None" or not (master or (links and meta["namespace"] == namespace)):
            continue
        prefix = meta["name"].upper().replace("-", "_").replace(".", "_")
        ports = spec.get("ports") or []
        if not ports:
            continue
        built[f"{prefix}_SERVICE_HOST"] = address
        built[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            protocol = str(port.get("protocol", "TCP"))
            if port.get("name"):
                built[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
            base = f"{prefix}_PORT_{port['port']}_{protocol}"
            url = f"{protocol.lower()}://{address}:{port['port']}"
            built.setdefault(f"{prefix}_PORT", url)
            built |= {base: url, f"{base}_PROTO": protocol.lower(), f"{base}_PORT": str(port["port"]), f"{base}_ADDR": address}
    return built
