"""Settings of the control plane, from its environment and command line, as istiod takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from varka.base.errors import VarkaError
from varka.model.policies.signing_keys import FetchMode

FLAGS_IGNORED = ("--log_output_level", "--keepaliveMaxServerConnectionAge", "--meshConfig", "--networksConfig", "--injectionDirectory", "--log_as_json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set from outside; field docs name the variable or flag."""

    pod_name: str = "istiod"
    """POD_NAME."""
    namespace: str = "istio-system"
    """POD_NAMESPACE: where the mesh's own ConfigMaps and Secrets are."""
    revision: str = "default"
    """REVISION: `default`, or the label value that a namespace carries to use this control plane."""
    cluster_id: str = "Kubernetes"
    """CLUSTER_ID."""
    cluster_domain: str = "cluster.local"
    """`--domain`."""
    version: str = "1.28.2"
    """Istio's version that this one is compatible with; ISTIO_VERSION."""
    bind: str = "0.0.0.0"
    """Address that all ports but those for debugging listen on; BIND_ADDRESS."""
    secure_port: int = 15012
    """ADS and certificate signing; `--secureGRPCAddr`."""
    monitoring_port: int = 15014
    """Metrics, readiness and, on loopback, debugging; `--monitoringAddr`."""
    webhook_port: int = 15017
    """Injection and validation; `--httpsAddr`."""
    kubeconfig: str = ""
    """`--kubeconfig`: for running outside of the cluster."""
    workload_certificate_lifetime: float = 24 * 3600.0
    """DEFAULT_WORKLOAD_CERT_TTL in seconds; `certificateTTL` in the ConfigMap `istio` comes first."""
    max_workload_certificate_lifetime: float = 90 * 24 * 3600.0
    """MAX_WORKLOAD_CERT_TTL in seconds: what a proxy may ask for at most."""
    debounce_after: float = 0.025
    """PILOT_DEBOUNCE_AFTER in seconds: how quiet it has to be after a change that came with others."""
    debounce_max: float = 0.25
    """PILOT_DEBOUNCE_MAX in seconds: how long a burst may hold a change back."""
    workload_entry_grace: float = 10.0
    """PILOT_WORKLOAD_ENTRY_GRACE_PERIOD in seconds: how long the entry of a workload outside stays after its proxy is gone."""
    cacerts: Path = Path("/etc/cacerts")
    """Where the Secret `cacerts` is mounted."""
    keys_fetched_by: FetchMode = FetchMode.ISTIOD
    """PILOT_JWT_ENABLE_REMOTE_JWKS: `false` (istiod fetches keys of token issuers), `hybrid` (proxies fetch those that services of the mesh serve) or
    `envoy` (proxies fetch all); `true` is `hybrid`."""
    keys_interval: float = 20 * 60.0
    """PILOT_JWT_PUB_KEY_REFRESH_INTERVAL in seconds: how often keys are fetched again."""
    keys_insecure: bool = False
    """JWKS_RESOLVER_INSECURE_SKIP_VERIFY: fetch keys from servers whose certificate nobody vouches for."""
    native_sidecars: bool = False
    """ENABLE_NATIVE_SIDECARS: `istio-proxy` as an init container that restarts, unless a pod says otherwise."""
    analysis: bool = True
    """PILOT_ENABLE_ANALYSIS: run the analyzers of `istioctl analyze` here too, and write what they say into the status of resources."""
    log_level: str = "INFO"
    """LOG_LEVEL."""

    @property
    def suffix(self) -> str:
        """What a revision adds to names: nothing for `default`."""
        return "" if self.revision == "default" else f"-{self.revision}"

    @property
    def service(self) -> str:
        """The Service that proxies and the API server reach this process by."""
        return f"istiod{self.suffix}"

    @property
    def dns_names(self) -> list[str]:
        """The names in the serving certificate."""
        spaces = dict.fromkeys([self.namespace, "istio-system"])
        names = [f"{service}.{space}.svc" for service in dict.fromkeys([self.service, "istiod"]) for space in spaces]
        return [*names, *(f"{name}.{self.cluster_domain}" for name in names), f"istio-pilot.{self.namespace}.svc", "localhost"]


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings; VarkaError names the flag or variable that cannot be used."""
    given: dict[str, object] = {}
    texts = {
        "POD_NAME": "pod_name",
        "POD_NAMESPACE": "namespace",
        "REVISION": "revision",
        "CLUSTER_ID": "cluster_id",
        "BIND_ADDRESS": "bind",
        "ISTIO_VERSION": "version",
        "LOG_LEVEL": "log_level",
    }
    given.update({name: environment[variable] for variable, name in texts.items() if environment.get(variable)})
    times = {
        "DEFAULT_WORKLOAD_CERT_TTL": "workload_certificate_lifetime",
        "MAX_WORKLOAD_CERT_TTL": "max_workload_certificate_lifetime",
        "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": "workload_entry_grace",
        "PILOT_DEBOUNCE_AFTER": "debounce_after",
        "PILOT_DEBOUNCE_MAX": "debounce_max",
        "PILOT_JWT_PUB_KEY_REFRESH_INTERVAL": "keys_interval",
    }
    for variable, name in times.items():
        if environment.get(variable):
            given[name] = _seconds(variable, environment[variable])
    given["analysis"] = environment.get("PILOT_ENABLE_ANALYSIS", "true").lower() != "false"
    given["native_sidecars"] = environment.get("ENABLE_NATIVE_SIDECARS", "").lower() == "true"
    given["keys_insecure"] = environment.get("JWKS_RESOLVER_INSECURE_SKIP_VERIFY", "").lower() == "true"
    given["keys_fetched_by"] = _fetch_mode(environment.get("PILOT_JWT_ENABLE_REMOTE_JWKS", ""))
    given.update(_flags(arguments))
    return Settings(**given)  # type: ignore[arg-type]


def _fetch_mode(text: str) -> FetchMode:
    modes = {"": FetchMode.ISTIOD, "false": FetchMode.ISTIOD, "true": FetchMode.HYBRID, **{mode.value: mode for mode in FetchMode}}
    try:
        return modes[text.lower()]
    except KeyError as error:
        raise VarkaError(f"PILOT_JWT_ENABLE_REMOTE_JWKS is {text!r}", "use false, hybrid or envoy") from error


def _seconds(name: str, text: str) -> float:
    from varka.base import durations

    try:
        return durations.seconds(text)
    except ValueError as error:
        raise VarkaError(f"{name} is no duration: {text!r}", "give a number with a unit, such as 24h or 100ms") from error


def _flags(arguments: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    ports = {"--monitoringAddr": "monitoring_port", "--secureGRPCAddr": "secure_port", "--httpsAddr": "webhook_port"}
    rest = list(arguments)
    if rest[:1] == ["discovery"]:
        rest.pop(0)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else ""
        if flag == "--domain":
            found["cluster_domain"] = value
        elif flag == "--kubeconfig":
            found["kubeconfig"] = value
        elif flag == "--version":
            found["version"] = value
        elif flag in ports and value.rpartition(":")[2].isdigit():
            found[ports[flag]] = int(value.rpartition(":")[2])
        elif flag not in FLAGS_IGNORED:
            raise VarkaError(f"unknown argument {flag}", f"known are: discovery --domain --kubeconfig {' '.join(ports)}")
    return found
