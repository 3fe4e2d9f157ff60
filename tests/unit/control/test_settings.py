from __future__ import annotations

import pytest

from varka.base.errors import VarkaError
from varka.control import settings


def test_flags_and_variables_of_the_chart() -> None:
    """The arguments and environment that the installation's Deployment gives."""
    found = settings.load(
        ["discovery", "--monitoringAddr=:15114", "--domain", "my.domain"], {"POD_NAME": "istiod-1", "REVISION": "canary", "DEFAULT_WORKLOAD_CERT_TTL": "2h"}
    )
    assert (found.monitoring_port, found.cluster_domain, found.pod_name) == (15114, "my.domain", "istiod-1")
    assert (found.suffix, found.service, found.workload_certificate_lifetime) == ("-canary", "istiod-canary", 7200.0)


@pytest.mark.parametrize(("arguments", "environment"), [(["--nonsense=1"], {}), ([], {"DEFAULT_WORKLOAD_CERT_TTL": "soon"})])
def test_what_cannot_be_used_is_an_error(arguments: list[str], environment: dict[str, str]) -> None:
    """The message names the flag or variable."""
    with pytest.raises(VarkaError, match=r"nonsense|WORKLOAD_CERT_TTL"):
        settings.load(arguments, environment)


def test_serving_certificate_has_all_names() -> None:
    """Of the service of the revision and of the default one, in the mesh's namespace."""
    names = settings.Settings(revision="canary").dns_names
    assert {"istiod-canary.istio-system.svc", "istiod.istio-system.svc", "istiod.istio-system.svc.cluster.local"} <= set(names)


@pytest.mark.parametrize(("text", "mode"), [("", "istiod"), ("false", "istiod"), ("true", "hybrid"), ("Hybrid", "hybrid"), ("envoy", "envoy")])
def test_who_fetches_keys(text: str, mode: str) -> None:
    """PILOT_JWT_ENABLE_REMOTE_JWKS takes Istio's values."""
    assert settings.load([], {"PILOT_JWT_ENABLE_REMOTE_JWKS": text}).keys_fetched_by.value == mode


def test_who_fetches_keys_must_be_known() -> None:
    """Another value is refused with the ones that are known."""
    with pytest.raises(VarkaError, match="PILOT_JWT_ENABLE_REMOTE_JWKS"):
        settings.load([], {"PILOT_JWT_ENABLE_REMOTE_JWKS": "maybe"})
