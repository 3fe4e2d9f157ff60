"""Varka: an Istio-compatible zero-trust service mesh that runs on one Linux machine."""

from __future__ import annotations

__version__ = "0.1.0"
"""Varka's own version."""

ISTIO_VERSION = "1.28.2"
"""The Istio release whose API, names and outputs this version follows."""

KUBERNETES_VERSION = "v1.34.2"
"""The Kubernetes release whose API the embedded cluster follows."""
