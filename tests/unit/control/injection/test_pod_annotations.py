"""What is said of a pod's annotations when it gets a proxy."""

from __future__ import annotations

from varka.control.injection import pod_annotations
from varka.resources import known_annotations


def test_what_acts_is_no_news() -> None:
    """Annotations that do something, and those of others, are not spoken of."""
    given = {"sidecar.istio.io/proxyCPU": "1", "proxy.istio.io/config": "concurrency: 1", "example.com/x": "y", "sidecar.istio.io/userVolume": "[]"}
    assert pod_annotations.findings(given) == []


def test_what_does_nothing_is_told() -> None:
    """Unknown names, names without effect, bad values and fields of ProxyConfig without effect."""
    given = {
        "sidecar.istio.io/statsCompression": "gzip",
        "sidecar.istio.io/proxyCpu": "1",
        "traffic.sidecar.istio.io/excludeInboundPorts": "http",
        "proxy.istio.io/config": "statNameLength: 5\nconcurency: 2",
    }
    assert pod_annotations.findings(given) == [
        "annotation sidecar.istio.io/proxyCpu is unknown",
        "annotation sidecar.istio.io/statsCompression has no effect: metrics are served as the scraper asks for them",
        "annotation traffic.sidecar.istio.io/excludeInboundPorts: 'http' is no number from 0 to 65535",
        "proxy.istio.io/config.statNameLength: accepted, but has no effect: Envoy has no limit for the length of names any more",
        "proxy.istio.io/config.concurency: unknown setting; it is left out",
    ]


def test_the_table_speaks_of_known_annotations() -> None:
    """No entry is misspelt."""
    assert set(pod_annotations.NO_EFFECT) <= set(known_annotations.KNOWN)
