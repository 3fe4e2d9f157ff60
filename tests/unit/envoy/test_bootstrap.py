from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from varka.envoy import bootstrap

SETTINGS = bootstrap.BootstrapSettings(
    pod="web-1", namespace="shop", ip="10.244.0.9", labels={"app": "web"}, workload="web", nonce="secret", locality="eu/north/rack1"
)


def built(settings: bootstrap.BootstrapSettings = SETTINGS) -> Any:
    return json.loads(bootstrap.dumps(settings))


def cluster(config: Any, name: str) -> Any:
    return next(c for c in config["static_resources"]["clusters"] if c["name"] == name)


def test_node_id_has_istios_four_parts() -> None:
    """The node ID is type, address, pod and domain joined by tildes."""
    assert built()["node"]["id"] == "sidecar~10.244.0.9~web-1.shop~shop.svc.cluster.local"


def test_node_names_its_canonical_service_as_cluster() -> None:
    """The node's cluster is the label `app` and the namespace, by which Envoy's traces name the service."""
    assert built()["node"]["cluster"] == "web.shop"


def test_its_own_listeners_have_names() -> None:
    """Whoever looks for a listener by name in what `istioctl proxy-config listener -o json` shows finds a name in each."""
    assert [one["name"] for one in built()["static_resources"]["listeners"]] == ["stats_15090", "agent_15021"]


def test_metrics_are_asked_of_the_agent() -> None:
    """Port 15090 answers Envoy's path by what the agent makes of Envoy's page."""
    listener = built()["static_resources"]["listeners"][0]
    (host,) = listener["filter_chains"][0]["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    assert host["routes"] == [{"match": {"path": "/stats/prometheus"}, "route": {"cluster": "agent", "prefix_rewrite": "/stats/envoy"}}]


def test_locality_is_split() -> None:
    """`region/zone/subzone` becomes Envoy's three fields."""
    assert built()["node"]["locality"] == {"region": "eu", "zone": "north", "sub_zone": "rack1"}


def test_every_socket_is_marked() -> None:
    """The bind configuration of the cluster manager puts mark 1337 on all upstream sockets."""
    (option,) = built()["cluster_manager"]["upstream_bind_config"]["socket_options"]
    assert (option["level"], option["name"], option["int_value"], option["state"]) == (1, 36, 1337, "STATE_PREBIND")


def test_sds_carries_the_nonce() -> None:
    """The certificate service's cluster adds the nonce to every stream that it opens."""
    options = cluster(built(), "sds-grpc")["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    mutation, codec = options["http_filters"]
    header = mutation["typed_config"]["mutations"]["request_mutations"][0]["append"]["header"]
    assert header == {"key": "x-varka-nonce", "value": "secret"}
    assert codec["name"] == "envoy.filters.http.upstream_codec"


def test_discovery_is_authenticated_by_name() -> None:
    """The control plane must present a certificate for its own DNS name, and is given the workload's."""
    tls = cluster(built(), "xds-grpc")["transport_socket"]["typed_config"]["common_tls_context"]
    sans = tls["combined_validation_context"]["default_validation_context"]["match_typed_subject_alt_names"]
    assert sans == [{"san_type": "DNS", "matcher": {"exact": "istiod.istio-system.svc"}}]
    assert [c["name"] for c in tls["tls_certificate_sds_secret_configs"]] == ["default"]


def test_metadata_given_wins() -> None:
    """Metadata that the agent passes on overrides what is derived."""
    settings = bootstrap.BootstrapSettings(pod="p", namespace="n", ip="1.1.1.1", metadata={"MESH_ID": "other"})
    assert built(settings)["node"]["metadata"]["MESH_ID"] == "other"


def test_an_empty_prefix_keeps_all_statistics() -> None:
    """The empty prefix among `stats_prefixes` takes the matcher away."""
    settings = bootstrap.BootstrapSettings(pod="p", namespace="n", ip="1.1.1.1", stats_prefixes=("",))
    assert "stats_matcher" not in built(settings)["stats_config"]
    assert "stats_matcher" in built()["stats_config"]


def test_envoys_own_queries_pass_the_captured_names() -> None:
    """Where the agent answers DNS, Envoy asks its other port, which makes no addresses up."""
    assert "typed_dns_resolver_config" not in built()
    config = built(replace(SETTINGS, metadata={"DNS_CAPTURE": "true"}))["typed_dns_resolver_config"]["typed_config"]
    assert config["resolvers"] == [{"socket_address": {"address": "127.0.0.1", "port_value": 15054}}]
