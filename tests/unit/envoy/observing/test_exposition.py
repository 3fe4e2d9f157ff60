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


def test_calls_become_messages() -> None:
    """Calls are counted by their numbers of messages; the sums over all of them are the messages of each direction."""
    text = "".join(
        f'envoy_istio_{direction}_messages_total{{reporter="source",response_flags="-",messages="{messages}"}} {calls}\n'
        for direction in ("request", "response")
        for messages, calls in (("1,1", 4), ("3,10", 2), ("", 7))
    )
    assert exposition.istio("# TYPE envoy_istio_request_messages_total counter\n" + text) == (
        "# TYPE istio_request_messages_total counter\n"
        'istio_request_messages_total{reporter="source",response_flags="-"} 10\n'
        "# TYPE istio_response_messages_total counter\n"
        'istio_response_messages_total{reporter="source",response_flags="-"} 24\n'
    )
