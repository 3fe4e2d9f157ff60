"""URL paths."""

from __future__ import annotations

import pytest

from varka.cluster.apiserver.rest import paths
from varka.cluster.apiserver.rest.paths import Target


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", Target(group="", version="v1", resource="pods")),
        ("/api/v1/namespaces", Target(group="", version="v1", resource="namespaces")),
        ("/api/v1/namespaces/a", Target(group="", version="v1", resource="namespaces", namespace="a", name="a")),
        ("/api/v1/namespaces/a/finalize", Target(group="", version="v1", resource="namespaces", namespace="a", name="a", subresource="finalize")),
        ("/api/v1/namespaces/a/pods", Target(group="", version="v1", resource="pods", namespace="a")),
        ("/api/v1/namespaces/a/pods/p/log", Target(group="", version="v1", resource="pods", namespace="a", name="p", subresource="log")),
        ("/apis/apps/v1/namespaces/a/deployments/d", Target(group="apps", version="v1", resource="deployments", namespace="a", name="d")),
        (
            "/api/v1/namespaces/a/services/s:80/proxy/x/y",
            Target(group="", version="v1", resource="services", namespace="a", name="s:80", subresource="proxy", rest="x/y"),
        ),
    ],
)
def test_resource_paths(path: str, expected: Target) -> None:
    """Every part of a path finds its place."""
    assert paths.parse(path) == expected


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/openapi/v3/apis/apps/v1"])
def test_other_paths(path: str) -> None:
    """Discovery and documents are no resources."""
    assert paths.parse(path) is None
