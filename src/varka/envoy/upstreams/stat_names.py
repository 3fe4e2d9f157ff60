"""Names of clusters in statistics, after the patterns of MeshConfig."""

from __future__ import annotations

from varka.model.services import Service, ServicePort


def of(pattern: str, service: Service, port: ServicePort, subset: str) -> str:
    """The pattern with its `%…%` filled in; `%SERVICE%` is `name.namespace`, or the host of a service outside."""
    short = f"{service.name}.{service.namespace}" if service.registry == "Kubernetes" else str(service.hostname)
    parts = {
        "%SERVICE%": short,
        "%SERVICE_NAME%": service.name,
        "%SERVICE_FQDN%": str(service.hostname),
        "%SERVICE_PORT%": str(port.number),
        "%TARGET_PORT%": str(port.target_port or port.number),
        "%SERVICE_PORT_NAME%": port.name,
        "%SUBSET_NAME%": subset,
    }
    for name, value in parts.items():
        pattern = pattern.replace(name, value)
    return pattern
