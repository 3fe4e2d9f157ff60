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


def test_labels_that_envoy_has_as_one() -> None:
    """They are taken apart; what the caller did not say is what it stands for, and empty values are unknown but for flags."""
    packed = "reporter=destination|source_workload=@workload|source_app=@app|source_version=@version|destination_app=|source_principal=-|response_flags=-"
    line = f'envoy_istio_requests_total{{labels="{packed}|peer=web-v1|shop|web|v1||v2",path="/a|b"}} 3\n'
    assert exposition.istio(line) == (
        'istio_requests_total{reporter="destination",source_workload="web-v1",source_app="web",source_version="v2",destination_app="unknown",'
        'source_principal="unknown",response_flags="-",path="/a|b"} 3\n'
    )


def test_a_caller_without_a_proxy_is_unknown() -> None:
    """One that says nothing has no workload; one that says too much changes no other label."""
    for said in ("", "-"):
        line = f'envoy_istio_requests_total{{labels="reporter=destination|source_workload=@workload|peer={said}"}} 1\n'
        assert exposition.istio(line) == 'istio_requests_total{reporter="destination",source_workload="unknown"} 1\n'
    line = 'envoy_istio_requests_total{labels="reporter=destination|source_workload=@workload|peer=a|b|c|d|e|f|reporter=source|peer=x"} 1\n'
    assert exposition.istio(line) == 'istio_requests_total{reporter="destination",source_workload="a"} 1\n'


def test_series_without_the_label_that_told_them_apart() -> None:
    """Where Telemetry takes a label away that the caller says, what differed in it is added up; nothing occurs twice."""
    lines = "".join(
        f'envoy_istio_requests_total{{labels="reporter=destination|source_app=@app|peer={workload}|shop|web|v1||"}} {count}\n'
        for workload, count in (("web-v1", 3), ("web-v2", 4))
    )
    assert exposition.istio("# TYPE envoy_istio_requests_total counter\n" + lines) == (
        '# TYPE istio_requests_total counter\nistio_requests_total{reporter="destination",source_app="web"} 7\n'
    )


def test_a_line_ends_only_at_a_newline() -> None:
    """Labels may have any Unicode, and so what other texts take for the end of a line."""
    odd = 'späť\u2028🕸\u0085\x0b\x0c\x1c\\n\\"\\\\'
    text = f'envoy_cluster_upstream_cx_active{{envoy_cluster_name="{odd}"}} 1\nenvoy_istio_requests_total{{source_app="{odd}"}} 3\n'
    assert exposition.istio(text) == f'envoy_cluster_upstream_cx_active{{envoy_cluster_name="{odd}"}} 1\nistio_requests_total{{source_app="{odd}"}} 3\n'


def test_fifty_thousand_series() -> None:
    """Each is there once, with its value, and the second half is added to the series that it became."""
    text = "".join(f'envoy_istio_requests_total{{source_app="a{number % 40_000}"}} {number}\n' for number in range(50_000))
    lines = exposition.istio(text).splitlines()
    assert len(lines) == 40_000
    assert lines[9_999] == f'istio_requests_total{{source_app="a9999"}} {9_999 + 49_999}'
    assert lines[10_000] == 'istio_requests_total{source_app="a10000"} 10000'
