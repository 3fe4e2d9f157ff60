from __future__ import annotations

from varka.cli import addons


def test_the_store_s_own_words_are_shown() -> None:
    """The trouble is taken out of its answer, and a full disk has its mend."""
    error = 'port 14269 of pod/istio-system/jaeger-1 answered 503 to /ready: {"trouble": "database or disk is full"}'
    found = addons.unready("tracing", "jaeger-1", error)
    assert found.what == "the trace store is not ready (database or disk is full): spans are dropped; requests are not affected"
    assert found.mend == "make room on its volume or let it keep less; it goes on by itself"


def test_an_answer_that_is_no_json_is_shown_as_it_is() -> None:
    """A refused connection has only its own text."""
    found = addons.unready("prometheus", "prometheus-1", "port 9090 does not answer")
    assert found.what.startswith("prometheus is not ready (port 9090 does not answer): metrics are not collected")
    assert found.mend == "kubectl logs -n istio-system prometheus-1 tells more"


def test_an_add_on_without_a_pod_is_named() -> None:
    """With the command that shows its deployment."""
    found = addons.absent("tracing", {"app": "jaeger"})
    assert found.what == "the trace store does not run: spans are dropped; requests are not affected"
    assert "kubectl get deployment,pod -n istio-system -l app=jaeger" in found.mend


def test_a_prometheus_that_keeps_nothing_is_a_problem() -> None:
    """Old samples, or none, of one that has run for a while; one that has just started is not blamed."""
    (found,) = addons.of_prometheus("prometheus-1", 1000.0, 700.0, 900.0)
    assert found.what.startswith("prometheus has kept no sample for 300 s:")
    (found,) = addons.of_prometheus("prometheus-1", 1000.0, None, 400.0)
    assert found.what.startswith("prometheus has kept no sample for 400 s:")
    assert addons.of_prometheus("prometheus-1", 1000.0, 990.0, 900.0) == []
    assert addons.of_prometheus("prometheus-1", 1000.0, None, 20.0) == []
    assert addons.of_prometheus("prometheus-1", 1000.0, 700.0, 20.0) == []


def test_a_clock_that_was_turned_back_is_told() -> None:
    """Prometheus refuses samples older than those it has; as long as it keeps some, or the difference is small, nothing is wrong."""
    (found,) = addons.of_prometheus("prometheus-1", 1000.0, None, -3600.0)
    assert found.what.startswith("the clock was turned back by at least 3600 s since prometheus began, which keeps no sample until then:")
    assert found.mend == "kubectl delete pod -n istio-system prometheus-1 lets it begin anew"
    assert addons.of_prometheus("prometheus-1", 1000.0, 990.0, -3600.0) == []
    assert addons.of_prometheus("prometheus-1", 1000.0, 1400.0, -300.0) == []
    assert addons.of_prometheus("prometheus-1", 1000.0, None, -20.0) == []
