from __future__ import annotations

import json

import pytest

from varka.agent import proxy_settings
from varka.base.errors import VarkaError

BASE = {"POD_NAME": "web", "POD_NAMESPACE": "shop"}


def test_what_nobody_said_has_a_default() -> None:
    """Only the pod's name and namespace have to be given."""
    found = proxy_settings.parse([], BASE)
    assert (found.type, found.pod, found.namespace, found.service_account) == ("sidecar", "web", "shop", "default")
    assert (found.discovery, found.trust_domain, found.domain) == (("istiod.istio-system.svc", 15012), "cluster.local", "shop.svc.cluster.local")
    assert (found.status_port, found.admin_port, found.concurrency) == (15020, 15000, 2)
    assert (found.drain_duration, found.termination_drain_duration, found.certificate_lifetime) == (45.0, 5.0, 0.0)


def test_proxy_config_is_read() -> None:
    """Ports, worker threads, durations and the address of the control plane."""
    config = {"discoveryAddress": "istiod-blue.mesh.svc:15012", "statusPort": 15120, "proxyAdminPort": 15100, "concurrency": 0, "drainDuration": "1m30s"}
    found = proxy_settings.parse([], {**BASE, "PROXY_CONFIG": json.dumps({**config, "terminationDrainDuration": "7s"})})
    assert found.discovery == ("istiod-blue.mesh.svc", 15012)
    assert (found.status_port, found.admin_port, found.concurrency) == (15120, 15100, 0)
    assert (found.drain_duration, found.termination_drain_duration) == (90.0, 7.0)


def test_the_environment_decides_the_drain_and_the_certificate() -> None:
    """TERMINATION_DRAIN_DURATION comes before ProxyConfig; SECRET_TTL asks the authority."""
    given = {**BASE, "TERMINATION_DRAIN_DURATION": "2s", "PROXY_CONFIG": '{"terminationDrainDuration": "7s"}', "SECRET_TTL": "1h"}
    found = proxy_settings.parse([], given)
    assert (found.termination_drain_duration, found.certificate_lifetime) == (2.0, 3600.0)


@pytest.mark.parametrize("arguments", [["router", "--domain", "x.y", "--proxyLogLevel=debug"], ["router", "--proxyLogLevel", "debug", "--domain=x.y"]])
def test_flags_are_taken_in_both_forms(arguments: list[str]) -> None:
    """`--name value` and `--name=value`; the first word is the proxy's type."""
    found = proxy_settings.parse(arguments, BASE)
    assert (found.type, found.domain, found.log_level) == ("router", "x.y", "debug")


def test_a_flag_without_value_changes_nothing() -> None:
    """A last `--proxyLogLevel` keeps the default."""
    assert proxy_settings.parse(["sidecar", "--proxyLogLevel"], BASE).log_level == "warning"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"POD_NAME": ""}, "the proxy's environment has no POD_NAME"),
        ({"PROXY_CONFIG": "{"}, "the proxy's settings cannot be read"),
        ({"PROXY_CONFIG": "[]"}, "expected a JSON object"),
        ({"PROXY_CONFIG": '{"statusPort": "x"}'}, "the proxy's settings cannot be read"),
        ({"PROXY_CONFIG": '{"drainDuration": "soon"}'}, "the proxy's settings cannot be read"),
        ({"ISTIO_KUBE_APP_PROBERS": "7"}, "expected a JSON object"),
        ({"SECRET_TTL": "a day"}, "the proxy's settings cannot be read"),
    ],
)
def test_a_malformed_setting_is_named(changed: dict[str, str], said: str) -> None:
    """The hint leads to what the injector would have written."""
    with pytest.raises(VarkaError, match="istioctl kube-inject") as raised:
        proxy_settings.parse([], {**BASE, **changed})
    assert said in raised.value.message


def test_probes_and_scraping_are_read() -> None:
    """The probes to pass on by path, and where the application's own metrics are."""
    probers = {"/app-health/web/livez": {"httpGet": {"path": "/", "port": 8080}}}
    given = {**BASE, "ISTIO_KUBE_APP_PROBERS": json.dumps(probers), "ISTIO_PROMETHEUS_ANNOTATIONS": '{"scrape": "true", "port": 9100}'}
    found = proxy_settings.parse([], given)
    assert (found.app_probers, found.prometheus) == (probers, {"scrape": "true", "port": "9100"})
