from __future__ import annotations

from typing import Any

from envoy.extensions.access_loggers.stats.v3 import stats_pb2

from varka.envoy.observing import stats
from varka.envoy.observing.labels import Where
from varka.model.telemetry import Metrics


def configs(loggers: list[Any]) -> list[Any]:
    """What the loggers count."""
    return [stats_pb2.Config.FromString(logger.typed_config.value) for logger in loggers]


def names(loggers: list[Any]) -> list[list[str]]:
    """The names of the metrics of each logger."""
    return [[item.stat.name for item in (*config.counters, *config.histograms)] for config in configs(loggers)]


def tags(stat: Any) -> dict[str, str]:
    """The labels of a metric."""
    found = {tag.name: tag.value_format for tag in stat.tags}
    packed = dict(part.split("=", 1) for part in found.pop("labels", "").split("|") if part)
    packed.pop("peer", None)
    return packed | found


def test_requests_and_calls() -> None:
    """Requests have a count, a duration and sizes; calls of gRPC their messages beside."""
    sizes = ["request_duration_milliseconds", "request_bytes", "response_bytes"]
    expected = [["requests_total", *sizes], ["requests_total", "request_messages_total", "response_messages_total", *sizes]]
    assert names(stats.of_requests_sent(Metrics())) == expected
    assert names(stats.of_requests_received(Where(mutual_tls=True), Metrics())) == expected


def test_labels_are_istios() -> None:
    """A request has exactly the labels that Istio documents; the gRPC status belongs to calls."""
    wanted = {
        f"{side}_{fact}"
        for side in ("source", "destination")
        for fact in ("workload", "workload_namespace", "principal", "app", "version", "cluster", "canonical_service", "canonical_revision")
    }
    wanted |= {"reporter", "destination_service", "destination_service_name", "destination_service_namespace", "connection_security_policy"}
    wanted |= {"request_protocol", "response_code", "response_flags"}
    for loggers in (stats.of_requests_sent(Metrics()), stats.of_requests_received(Where(mutual_tls=True), Metrics())):
        requests, calls = configs(loggers)
        assert set(tags(requests.counters[0].stat)) == wanted
        assert set(tags(calls.counters[0].stat)) == wanted | {"grpc_response_status"}


def test_labels_are_one_to_envoy() -> None:
    """Envoy has one label for every metric, with the caller's own words last; what Telemetry computes stands beside it."""
    metrics = Metrics(tags=(("REQUEST_COUNT", (("host", "request.host"),)),))
    requests, calls = configs(stats.of_requests_received(Where(mutual_tls=True), metrics))
    assert [tag.name for tag in requests.counters[0].stat.tags] == ["labels", "host"]
    assert [tag.name for tag in requests.histograms[0].stat.tags] == ["labels"]
    assert [tag.name for tag in calls.counters[1].stat.tags] == ["labels", "messages"]
    parts = requests.histograms[0].stat.tags[0].value_format.split("|")
    assert parts[0] == "reporter=destination"
    assert "source_workload=@workload" in parts
    assert parts[-1] == "peer=%FILTER_STATE(varka.peer:PLAIN)%"


def test_connections() -> None:
    """Connections are opened, or never reach the other side, and are closed with their bytes."""
    assert names(stats.of_connections_sent(Metrics())) == [
        ["tcp_connections_opened_total"],
        ["tcp_connections_opened_total"],
        ["tcp_connections_closed_total", "tcp_received_bytes_total", "tcp_sent_bytes_total"],
    ]


def test_the_service_and_the_security_are_told() -> None:
    """The receiving side knows the service by its port and the security by the filter chain."""
    (requests, _) = configs(
        stats.of_requests_received(Where(mutual_tls=False, host="web.default.svc.cluster.local", name="web", namespace="default"), Metrics())
    )
    found = tags(requests.counters[0].stat)
    assert (found["destination_service"], found["destination_service_name"]) == ("web.default.svc.cluster.local", "web")
    assert (found["destination_service_namespace"], found["connection_security_policy"]) == ("default", "none")


def test_what_telemetry_changes() -> None:
    """Metrics that are off are not counted, labels are taken away or computed, and no metrics at all is no logger."""
    metrics = Metrics(disabled=frozenset({"REQUEST_SIZE", "GRPC_REQUEST_MESSAGES"}), tags=(("REQUEST_COUNT", (("host", "request.host"), ("source_app", ""))),))
    requests, calls = configs(stats.of_requests_sent(metrics))
    assert [item.stat.name for item in requests.histograms] == ["request_duration_milliseconds", "response_bytes"]
    assert [item.stat.name for item in calls.counters] == ["requests_total", "response_messages_total"]
    found = tags(requests.counters[0].stat)
    assert found["host"] == "%CEL(request.host)%"
    assert "source_app" not in found
    assert "source_app" in tags(requests.histograms[0].stat)
    assert stats.of_requests_sent(None) == []
    every = frozenset({"TCP_OPENED_CONNECTIONS", "TCP_CLOSED_CONNECTIONS", "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES"})
    assert stats.of_connections_sent(Metrics(disabled=every)) == []
