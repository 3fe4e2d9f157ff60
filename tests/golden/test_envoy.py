"""One folder a case: `in.yaml` describes a proxy's view, in the model's words or by manifests; the other files are its Envoy resources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.builders import extending, views

from varka.base.wire import WireResource
from varka.envoy import dump, generate
from varka.model import inputs, snapshot
from varka.model import views as model_views
from varka.model.security import AuthorizationPolicy, JwtRule, MutualTls
from varka.model.services import Endpoint, Service
from varka.model.telemetry import DEFAULT, Telemetry
from varka.model.traffic import DestinationRule, GatewayServer, VirtualService
from varka.model.view import GatewayBinding, InboundPort, MeshSettings, Proxy, ProxyView
from varka.resources import parse

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob("*/in.yaml"))
KINDS = ("listeners", "clusters", "routes", "endpoints")
RARE = "extensions"
"""On file only where there are some."""


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """What `in.yaml` may hold; `own` are names of services of the proxy's workload. With `manifests` the model makes the view."""

    description: str
    proxy: Proxy
    mesh: MeshSettings = MeshSettings()
    services: list[Service] = []
    endpoints: list[Endpoint] = []
    virtual_services: list[VirtualService] = []
    destination_rules: list[DestinationRule] = []
    own: list[str] = []
    mutual_tls: MutualTls = MutualTls()
    authorization: list[AuthorizationPolicy] = []
    jwt_rules: list[JwtRule] = []
    servers: list[GatewayServer] = []
    extending: list[dict[str, Any]] = []
    """EnvoyFilters and WasmPlugins as a user writes them."""
    manifests: list[dict[str, Any]] = []
    telemetry: Telemetry = DEFAULT


def view_of(case: Case) -> ProxyView:
    """The view that the case describes; VirtualServices belong to a server when they name its gateway."""
    if case.manifests:
        return of_manifests(case)
    seen = views.outbound(
        case.services,
        case.endpoints,
        virtual_services=tuple(item for item in case.virtual_services if "mesh" in item.gateways),
        destination_rules=views.destination_rules(*case.destination_rules),
    )
    inbound = tuple(
        InboundPort(service=item, service_port=port, target_port=port.target_port or port.number)
        for item in case.services
        if item.name in case.own
        for port in item.ports
    )
    bindings = tuple(
        GatewayBinding(server=server, virtual_services=tuple(item for item in case.virtual_services if server.gateway in item.gateways))
        for server in case.servers
    )
    return ProxyView(
        proxy=case.proxy,
        mesh=case.mesh,
        outbound=seen,
        inbound=inbound,
        mutual_tls=case.mutual_tls,
        authorization=tuple(case.authorization),
        jwt_rules=tuple(case.jwt_rules),
        gateways=bindings,
        extensions=extending.of(case.proxy, case.extending),
        telemetry=case.telemetry,
    )


def of_manifests(case: Case) -> ProxyView:
    """What the proxy sees of the manifests; those without a namespace are in `default`."""
    for manifest in case.manifests:
        manifest["metadata"].setdefault("namespace", "default")
    everything = inputs.of(map(parse, case.manifests), case.mesh)
    return model_views.view(snapshot.build(everything), case.proxy)


def shortened(value: Any) -> Any:
    """Without what is the same in every listener: the labels of the metrics."""
    if isinstance(value, dict):
        if value.get("name") == "envoy.access_loggers.stats":
            return {key: item for key, item in value.items() if key != "typedConfig"}
        return {key: shortened(item) for key, item in value.items()}
    return [shortened(item) for item in value] if isinstance(value, list) else value


def as_yaml(resources: Mapping[str, WireResource]) -> str:
    """All resources of a kind as one YAML list."""
    return yaml.safe_dump([shortened(dump.to_dict(resource)) for resource in resources.values()], sort_keys=True, width=160)


def read(name: str) -> Case:
    """The case of a folder."""
    return msgspec.convert(yaml.safe_load((HERE / name / "in.yaml").read_text()), Case)


@pytest.mark.parametrize("name", CASES)
def test_resources(name: str, update_golden: bool) -> None:
    """The case's view gives exactly the resources that are on file."""
    config = generate.generate(view_of(read(name)))
    assert config.problems == ()
    for kind in (*KINDS, *([RARE] if config.extensions or (HERE / name / f"{RARE}.yaml").exists() else [])):
        path = HERE / name / f"{kind}.yaml"
        built = as_yaml(getattr(config, kind))
        if update_golden:
            path.write_text(built)
        assert path.exists(), f"{path.name} is missing; run pytest tests/golden --update-golden and read the result"
        assert yaml.safe_load(built) == yaml.safe_load(path.read_text())


@pytest.mark.parametrize("name", CASES)
def test_repeatable(name: str) -> None:
    """Equal views that are different objects give byte-equal resources."""
    first, second = (generate.generate(view_of(read(name))) for _ in range(2))
    for kind in KINDS:
        left: Any = getattr(first, kind)
        assert {key: value.body for key, value in left.items()} == {key: value.body for key, value in getattr(second, kind).items()}


def test_no_orphans() -> None:
    """Every folder is a case, and every file in it belongs to the case."""
    known = {"in.yaml", *(f"{kind}.yaml" for kind in (*KINDS, RARE))}
    for folder in HERE.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert folder.name in CASES, f"{folder.name} has no in.yaml"
            assert {path.name for path in folder.iterdir()} <= known
