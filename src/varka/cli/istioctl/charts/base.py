"""What belongs to the cluster, whichever revision runs: definitions of Istio's kinds, the namespace, the validation webhook."""

from __future__ import annotations

from varka.cli.istioctl.operator import Installation
from varka.client.api import Object
from varka.resources import crds


def objects(installation: Installation) -> list[Object]:
    """Namespace, CustomResourceDefinitions and the reader role of gateways."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": installation.namespace}},
        *crds.definitions(),
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "istio-reader-service-account", "namespace": installation.namespace, "labels": labels(installation, "base")},
        },
    ]


def labels(installation: Installation, component: str) -> dict[str, str]:
    """What marks an object as part of an installation, so that `uninstall` finds it."""
    return {
        "app.kubernetes.io/managed-by": "istioctl",
        "app.kubernetes.io/part-of": "istio",
        "install.operator.istio.io/owning-resource": "installed-state",
        "operator.istio.io/component": component,
        "istio.io/rev": installation.revision,
    }
