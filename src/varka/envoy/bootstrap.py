"""What Envoy is told before it has talked to anyone: who it is, where its certificate and its configuration come from.

All the rest arrives over ADS. The agent writes the result to a file (mode 0600: the nonce in it opens the certificate
service) and starts Envoy with it. Every socket that Envoy opens carries a mark, by which the redirection rules of the
pod tell Envoy's own connections from the application's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec import Struct, field

from varka.envoy import names
from varka.envoy.observing import peer_facts

TYPE_PREFIX = "type.googleapis.com/envoy."
METRICS_OF_ENVOY = "/stats/envoy"
"""Where the agent shows Envoy's metrics under Istio's names."""

STATS_PREFIXES = (
    "istio",
    "reporter=",
    "cluster_manager",
    "listener_manager",
    "server",
    "cluster.xds-grpc",
    "cluster.sds-grpc",
    "control_plane",
    "access_logs",
)
STATS_SUFFIXES = ("rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied", "downstream_cx_active", "upstream_cx_active", "upstream_rq_retry")


class BootstrapSettings(Struct, frozen=True, kw_only=True):
    """What the agent knows of the proxy it is about to start."""

    proxy_type: str = "sidecar"
    """`sidecar` or `router`."""
    pod: str
    namespace: str
    ip: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = "default"
    workload: str = ""
    """Name of the Deployment or other owner; empty: the pod's name."""
    owner: str = ""
    """`kubernetes://apis/apps/v1/namespaces/…/deployments/…`."""
    cluster_id: str = "Kubernetes"
    mesh_id: str = "cluster.local"
    trust_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    istio_version: str = "1.28.2"
    revision: str = "default"
    locality: str = ""
    """`region/zone/subzone`."""
    network: str = ""
    app_containers: tuple[str, ...] = ()
    pod_ports: tuple[Mapping[str, object], ...] = ()
    discovery_address: str = "istiod.istio-system.svc:15012"
    discovery_ip: str = ""
    """Where that is, for a proxy whose name server does not know it."""
    sds_socket: str = "/var/run/varka/agent/sds.sock"
    """Path of the UNIX socket where the agent serves certificate and root, as Envoy sees it."""
    nonce: str = ""
    """Secret that every SDS stream of this Envoy carries in the header `x-varka-nonce`."""
    admin_port: int = 15000
    stats_port: int = 15090
    ready_port: int = 15021
    agent_port: int = 15020
    mark: int = names.MARK
    """Of every socket; 0 where nothing is redirected, since setting one takes rights that an ordinary user does not have."""
    stats_prefixes: tuple[str, ...] = ()
    """Further statistics to keep, beside the ones that everyone gets; an empty prefix keeps all."""
    stats_suffixes: tuple[str, ...] = ()
    stats_regexps: tuple[str, ...] = ()
    histogram_buckets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Bounds of the buckets of histograms, by prefix of their names."""
    runtime: Mapping[str, str] = field(default_factory=dict)
    """Values of Envoy's runtime."""
    gateway_topology: Mapping[str, object] = field(default_factory=dict)
    """`gatewayTopology` of the ProxyConfig: the control plane reads it in the node."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    """Further node metadata; wins over what is derived from the other fields."""

    @property
    def node_id(self) -> str:
        return f"{self.proxy_type}~{self.ip}~{self.pod}.{self.namespace}~{self.namespace}.svc.{self.cluster_domain}"


def build(settings: BootstrapSettings) -> dict[str, object]:
    """The bootstrap as the JSON form of `envoy.config.bootstrap.v3.Bootstrap`."""
    return {
        "node": node(settings),
        **_resolver(settings),
        "admin": {"address": _address("127.0.0.1", settings.admin_port)},
        "layered_runtime": {
            "layers": [
                {"name": "static", "static_layer": {"re2.max_program_size.error_level": 32768, "re2.max_program_size.warn_level": 1024, **settings.runtime}}
            ]
        },
        "stats_config": _stats(settings),
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "overload_manager": _overload(),
        "cluster_manager": {
            "outlier_detection": {"event_log_path": "/dev/null"},
            **(
                {"upstream_bind_config": {"socket_options": [{"description": "own connections pass the redirection", **_mark(settings.mark)}]}}
                if settings.mark
                else {}
            ),
        },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {"envoy_grpc": {"cluster_name": names.XDS_CLUSTER, "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "2s"}}}}
                ],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {
            "clusters": [
                _loopback_cluster("prometheus_stats", settings.admin_port),
                _loopback_cluster("agent", settings.agent_port),
                _sds_cluster(settings),
                _xds_cluster(settings),
            ],
            "listeners": [
                _listener(settings.stats_port, "stats", "/stats/prometheus", METRICS_OF_ENVOY),
                _listener(settings.ready_port, "agent", "/healthz/ready"),
            ],
        },
    }


def _resolver(settings: BootstrapSettings) -> dict[str, object]:
    """Where the agent answers DNS, Envoy's own queries go by its other port, where no address is made up."""
    if str(settings.metadata.get("DNS_CAPTURE", "")).lower() not in {"true", "1"}:
        return {}
    config = {
        "@type": f"{TYPE_PREFIX}extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
        "resolvers": [_address("127.0.0.1", names.DNS_UPSTREAM_PORT)],
    }
    return {"typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": config}}


def environment(settings: BootstrapSettings) -> dict[str, str]:
    """The variables that Envoy must be started with beside its bootstrap: what it says of itself in metrics."""
    labels = settings.labels
    return peer_facts.environment(
        peer_facts.Facts(
            workload=settings.workload or settings.pod,
            namespace=settings.namespace,
            service=labels.get("service.istio.io/canonical-name") or labels.get("app.kubernetes.io/name") or labels.get("app", ""),
            revision=labels.get("service.istio.io/canonical-revision") or labels.get("app.kubernetes.io/version") or labels.get("version", ""),
            app=labels.get("app", ""),
            version=labels.get("version", ""),
            cluster=settings.cluster_id,
            mesh=settings.mesh_id,
        )
    )


def dumps(settings: BootstrapSettings) -> str:
    """The bootstrap as JSON text, for the file that Envoy reads."""
    return json.dumps(build(settings), indent=2, sort_keys=True)


def node(settings: BootstrapSettings) -> dict[str, object]:
    """Who this proxy is, as every discovery request says."""
    workload = settings.workload or settings.pod
    metadata: dict[str, object] = {
        "NAME": settings.pod,
        "NAMESPACE": settings.namespace,
        "INSTANCE_IPS": settings.ip,
        "SERVICE_ACCOUNT": settings.service_account,
        "WORKLOAD_NAME": workload,
        "OWNER": settings.owner or f"kubernetes://apis/v1/namespaces/{settings.namespace}/pods/{settings.pod}",
        "LABELS": dict(settings.labels),
        "ANNOTATIONS": dict(settings.annotations),
        "CLUSTER_ID": settings.cluster_id,
        "MESH_ID": settings.mesh_id,
        "ISTIO_VERSION": settings.istio_version,
        "INTERCEPTION_MODE": "REDIRECT",
        "APP_CONTAINERS": ",".join(settings.app_containers),
        "POD_PORTS": json.dumps([dict(port) for port in settings.pod_ports]),
        "ENVOY_STATUS_PORT": settings.ready_port,
        "ENVOY_PROMETHEUS_PORT": settings.stats_port,
        "PILOT_SAN": [_discovery_host(settings)],
        "PROXY_CONFIG": {
            "discoveryAddress": settings.discovery_address,
            "configPath": "./etc/istio/proxy",
            "serviceCluster": "istio-proxy",
            "proxyAdminPort": settings.admin_port,
            "statusPort": settings.agent_port,
            "controlPlaneAuthPolicy": "MUTUAL_TLS",
            **({"gatewayTopology": dict(settings.gateway_topology)} if settings.gateway_topology else {}),
        },
    }
    if settings.network:
        metadata["NETWORK"] = settings.network
    metadata.update(settings.metadata)
    canonical = settings.labels.get("service.istio.io/canonical-name") or settings.labels.get("app") or workload
    found: dict[str, object] = {"id": settings.node_id, "cluster": f"{canonical}.{settings.namespace}", "metadata": metadata}
    if settings.locality:
        keys = ("region", "zone", "sub_zone")
        found["locality"] = dict(zip(keys, settings.locality.split("/"), strict=False))
    return found


def _stats(settings: BootstrapSettings) -> dict[str, object]:
    keep: list[dict[str, object]] = [{"prefix": prefix} for prefix in (*STATS_PREFIXES, *settings.stats_prefixes) if prefix]
    keep += [{"suffix": suffix} for suffix in (*STATS_SUFFIXES, *settings.stats_suffixes)]
    keep += [{"safe_regex": {"regex": regex}} for regex in settings.stats_regexps]
    stats: dict[str, object] = {
        "use_all_default_tags": False,
        "stats_tags": [
            {"tag_name": "cluster_name", "regex": r"^cluster\.((.+?(\..+?\.svc\." + settings.cluster_domain.replace(".", r"\.") + r")?)\.)"},
            {"tag_name": "tcp_prefix", "regex": r"^tcp\.((.*?)\.)\w+?$"},
            {"tag_name": "http_conn_manager_prefix", "regex": r"^http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"},
            {"tag_name": "listener_address", "regex": r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"},
            {"tag_name": "response_code_class", "regex": r"_rq(_(\d)xx)$"},
            {"tag_name": "response_code", "regex": r"_rq(_(\d{3}))$"},
        ],
    }
    if settings.histogram_buckets:
        stats["histogram_bucket_settings"] = [
            {"match": {"prefix": prefix}, "buckets": list(bounds)} for prefix, bounds in sorted(settings.histogram_buckets.items())
        ]
    if "" not in settings.stats_prefixes:
        stats["stats_matcher"] = {"inclusion_list": {"patterns": keep}}
    return stats


def _overload() -> dict[str, object]:
    monitor = {
        "@type": TYPE_PREFIX + "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": "2147483645",
    }
    return {"resource_monitors": [{"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": monitor}]}


def _mark(mark: int) -> dict[str, object]:
    return {"level": names.SOL_SOCKET, "name": names.SO_MARK, "int_value": mark, "state": "STATE_PREBIND"}


def _address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def _discovery_host(settings: BootstrapSettings) -> str:
    return settings.discovery_address.rpartition(":")[0]


def _assignment(name: str, address: Mapping[str, object]) -> dict[str, object]:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _loopback_cluster(name: str, port: int) -> dict[str, object]:
    return {"name": name, "type": "STATIC", "connect_timeout": "0.25s", "load_assignment": _assignment(name, _address("127.0.0.1", port))}


def _http2(**options: object) -> dict[str, object]:
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": TYPE_PREFIX + "extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "10s"}}},
            **options,
        }
    }


def _sds_cluster(settings: BootstrapSettings) -> dict[str, object]:
    """The nonce is put on by the cluster, since resources that istiod sends refer to the cluster without knowing the nonce."""
    mutation = {
        "@type": TYPE_PREFIX + "extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {
            "request_mutations": [{"append": {"header": {"key": names.NONCE_HEADER, "value": settings.nonce}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}]
        },
    }
    codec = {"@type": TYPE_PREFIX + "extensions.filters.http.upstream_codec.v3.UpstreamCodec"}
    filters = [{"name": "envoy.filters.http.header_mutation", "typed_config": mutation}] if settings.nonce else []
    filters.append({"name": "envoy.filters.http.upstream_codec", "typed_config": codec})
    return {
        "name": names.SDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": _http2(http_filters=filters),
        "load_assignment": _assignment(names.SDS_CLUSTER, {"pipe": {"path": settings.sds_socket}}),
    }


def _sds_secret(name: str) -> dict[str, object]:
    api = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": names.SDS_CLUSTER}}],
    }
    return {"name": name, "sds_config": {"api_config_source": api, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}}


def _xds_cluster(settings: BootstrapSettings) -> dict[str, object]:
    host, _, port = settings.discovery_address.rpartition(":")
    tls = {
        "@type": TYPE_PREFIX + "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": host,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificate_sds_secret_configs": [_sds_secret(names.WORKLOAD_SECRET)],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}]},
                "validation_context_sds_secret_config": _sds_secret(names.ROOT_SECRET),
            },
        },
    }
    dns = {
        "@type": TYPE_PREFIX + "extensions.clusters.dns.v3.DnsCluster",
        "dns_lookup_family": "V4_ONLY",
        "dns_refresh_rate": "60s",
        "dns_failure_refresh_rate": {"base_interval": "0.2s", "max_interval": "2s"},
        "respect_dns_ttl": True,
    }
    limit = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    return {
        "name": names.XDS_CLUSTER,
        "cluster_type": {"name": "envoy.cluster.strict_dns", "typed_config": dns},
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", **limit}, {"priority": "HIGH", **limit}]},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
        "typed_extension_protocol_options": _http2(),
        "load_assignment": _assignment(names.XDS_CLUSTER, _address(settings.discovery_ip or host, int(port))),
    }


def _listener(port: int, stat_prefix: str, path: str, asks: str = "") -> dict[str, object]:
    """Passes one path on to the agent, which may know it by another name."""
    routes = [{"match": {"path": path}, "route": {"cluster": "agent", **({"prefix_rewrite": asks} if asks else {})}}]
    connection_manager = {
        "@type": TYPE_PREFIX + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "AUTO",
        "stat_prefix": stat_prefix,
        "route_config": {"virtual_hosts": [{"name": "backend", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE_PREFIX + "extensions.filters.http.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connection_manager}]}
    return {"name": f"{stat_prefix}_{port}", "address": _address("0.0.0.0", port), "filter_chains": [chain]}
