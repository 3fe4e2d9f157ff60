from __future__ import annotations

from varka.envoy.observing import exposition

LINE = 'envoy_istio_requests_total{reporter="source",destination_workload="",connection_security_policy="none",response_flags="-"} 3\n'


def test_istio_metrics_get_their_names() -> None:
    """The prefix goes, a missing value is called unknown, flags keep their dash, and the older label name is added."""
    assert exposition.istio("# TYPE envoy_istio_requests_total counter\n" + LINE) == (
        "# TYPE istio_requests_total counter\n"
        'istio_requests_total{reporter="source",destination_workload="unknown",connection_security_policy="none",security_policy="none",'
        'response_flags="-"} 3\n'
    )


def test_other_metrics_stay() -> None:
    """Envoy's own metrics are not touched."""
    text = 'envoy_cluster_upstream_cx_active{envoy_cluster_name=""} 1\n'
    assert exposition.istio(text + LINE).startswith(text)
