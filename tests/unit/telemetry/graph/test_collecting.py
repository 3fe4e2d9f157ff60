from __future__ import annotations

import pytest
from tests.unit.telemetry.graph.test_building import series

from varka.telemetry.graph import collecting, prometheus, queries
from varka.telemetry.graph.building import Sample, Wish
from varka.telemetry.graph.prometheus import PrometheusError

WISH = Wish(namespaces=("default",), time=1000.0)


class FakeMetrics:
    """Answers by a word that the question contains; everything else is empty."""

    def __init__(self, **answers: tuple[Sample, ...]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def query(self, promql: str, time: float) -> tuple[Sample, ...]:
        self.asked.append(promql)
        assert time == 1000.0
        known = {queries.ANY_REQUESTS: "any", queries.NAMESPACES: "namespaces", queries.UNLABELLED: "unlabelled"}
        word = known.get(promql) or (
            "proxies" if "envoy_server_live" in promql else "requests" if "response_flags" in promql and "requests_total" in promql else ""
        )
        return self.answers.get(word, ())


class AwayMetrics:
    async def query(self, promql: str, time: float) -> tuple[Sample, ...]:
        raise PrometheusError("connection refused")


def one(value: float = 1.0, **labels: str) -> tuple[Sample, ...]:
    return (Sample(labels=labels, value=value),)


async def test_a_graph_with_traffic_has_no_reasons() -> None:
    """Each quantity is asked for once, for the namespaces and the range."""
    metrics = FakeMetrics(requests=(series(1.0, "web-v1", "shop-v1"),))
    made = await collecting.collect(metrics, WISH)
    assert len(made.edges) == 1
    assert made.reasons == ()
    assert len(metrics.asked) == 9
    assert all('source_workload_namespace=~"default"' in asked and "[60s]" in asked for asked in metrics.asked if "envoy_server_live" not in asked)


async def test_why_prometheus_is_away() -> None:
    """The mend is named."""
    made = await collecting.collect(AwayMetrics(), WISH, where="http://p:9090")
    assert made.edges == ()
    assert made.reasons == (
        "prometheus does not answer at http://p:9090 (connection refused): deploy it with `kubectl apply -f samples/addons/prometheus.yaml`, "
        "or see why its pod is not ready",
    )


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({}, "prometheus reads no proxy: no pod has a sidecar"),
        ({"proxies": one(namespace="default", pod="web-1")}, "the proxies have counted no request yet"),
        ({"any": one(5.0), "unlabelled": one(5.0)}, "without source_workload and destination_workload"),
        (
            {"any": one(5.0), "namespaces": one(destination_workload_namespace="shop")},
            "no request came from or went to namespace default; there was traffic in: shop",
        ),
        ({"any": one(5.0), "namespaces": one(destination_workload_namespace="default")}, "there was no traffic in the last 60 s"),
    ],
)
async def test_why_a_graph_is_empty(answers: dict[str, tuple[Sample, ...]], reason: str) -> None:
    """No proxies, no requests at all, wrong labels, another namespace, another time."""
    made = await collecting.collect(FakeMetrics(**answers), WISH)
    assert made.edges == ()
    assert made.reasons[0].startswith(reason) or reason in made.reasons[0]


def test_answers_of_the_api_are_read_or_explained() -> None:
    """A refusal is Prometheus' own text; what is no answer is shown."""
    good = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1.5,"NaN"]}]}}'
    (sample,) = prometheus.samples(good)
    assert sample.labels == {"a": "b"}
    assert sample.value != sample.value
    with pytest.raises(PrometheusError, match="parse error"):
        prometheus.samples(b'{"status":"error","errorType":"bad_data","error":"parse error"}', 400)
    with pytest.raises(PrometheusError, match="answer 502 is not that of a Prometheus: <html>"):
        prometheus.samples(b"<html>", 502)


def test_a_namespace_cannot_change_the_question() -> None:
    """Quotes and operators of PromQL are taken out or escaped."""
    asked = queries.requests(queries.Scope(namespaces=('a"} or vector(1) #', "b.*")))
    assert '"} or' not in asked
    assert "b\\\\.\\\\*" in asked
