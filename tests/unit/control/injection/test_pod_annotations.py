"""What is said of a pod's annotations when it gets a proxy."""

from __future__ import annotations

import re

import pytest

from varka.base.errors import VarkaError
from varka.control.injection import pod_annotations, pods
from varka.control.injection.options import Options
from varka.resources import known_annotations


def test_what_acts_is_no_news() -> None:
    """Annotations that do something, and those of others, are not spoken of."""
    given = {"sidecar.istio.io/proxyCPU": "1", "proxy.istio.io/config": "concurrency: 1", "example.com/x": "y", "sidecar.istio.io/userVolume": "[]"}
    assert pod_annotations.findings(given) == []


def test_what_does_nothing_is_told() -> None:
    """Unknown names, names without effect and fields of ProxyConfig without effect."""
    given = {
        "sidecar.istio.io/statsCompression": "gzip",
        "sidecar.istio.io/proxyCpu": "1",
        "proxy.istio.io/config": "statNameLength: 5\nconcurency: 2",
    }
    assert pod_annotations.findings(given) == [
        "annotation sidecar.istio.io/proxyCpu is unknown",
        "annotation sidecar.istio.io/statsCompression has no effect: metrics are served as the scraper asks for them",
        "proxy.istio.io/config.statNameLength: accepted, but has no effect: Envoy has no limit for the length of names any more",
        "proxy.istio.io/config.concurency: unknown setting; it is left out",
    ]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("traffic.sidecar.istio.io/excludeInboundPorts", "http", "'http' is no number from 0 to 65535"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.1", "'10.0.0.1' is no IP range in CIDR form; write 10.0.0.1/32 for one address"),
        ("sidecar.istio.io/interceptionMode", "MAGIC", "interceptionMode 'MAGIC' is unknown; use REDIRECT, TPROXY or NONE"),
    ],
)
def test_a_pod_with_a_value_that_cannot_be_followed_is_refused(name: str, value: str, problem: str) -> None:
    """The error names the annotation and says what is wrong."""
    with pytest.raises(VarkaError, match=re.escape(f"annotation {name}: {problem}; correct it, or leave it out")):
        pods.inject({"metadata": {"name": "p", "annotations": {name: value, "sidecar.istio.io/inject": "true"}}, "spec": {}}, "default", None, Options())


def test_the_table_speaks_of_known_annotations() -> None:
    """No entry is misspelt."""
    assert set(pod_annotations.NO_EFFECT) <= set(known_annotations.KNOWN)
