from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import astuple
from tests.builders.meshobjects import Object, endpoint_slice, istio, pod, proxy, service, snapshot_of

from varka.analysis import mutual_tls
from varka.model.view import MeshSettings

HOST = "web.default.svc.cluster.local"


def agreement(*objects: Object, sidecar: bool = True, server: bool = True, mesh: MeshSettings | None = None) -> tuple[Any, ...]:
    """Status, server, client, policy and rule of the service web, seen by a client; `server` says whether web's pod has a sidecar."""
    labels = {} if server else {"security.istio.io/tlsMode": ""}
    known = [service("web", {"name": "http", "port": 80, "targetPort": 8080}), endpoint_slice("web", "10.0.0.1"), pod("web", "10.0.0.1", labels=labels)]
    made = snapshot_of(*known, *objects, mesh=mesh)
    client = proxy("client", "10.0.0.2", **({"security.istio.io/tlsMode": "istio"} if sidecar else {}))
    (found,) = mutual_tls.agreements(made, client)
    assert (found.host, found.port) == (HOST, 80)
    return astuple(found)[2:]


def peers(mode: str, name: str = "p", **spec: Any) -> Object:
    """A PeerAuthentication of the namespace."""
    return istio("PeerAuthentication", name, {"mtls": {"mode": mode}, **spec})


def rule(mode: str, **policy: Any) -> Object:
    """A DestinationRule that says what the client speaks."""
    return istio("DestinationRule", "d", {"host": "web", "trafficPolicy": {"tls": {"mode": mode}, **policy}})


WEB = {"selector": {"matchLabels": {"app": "web"}}}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ((), ("OK", "mTLS", "mTLS", "default/", "-")),
        ((peers("STRICT"),), ("OK", "STRICT", "mTLS", "p/default", "-")),
        ((peers("DISABLE"),), ("OK", "HTTP", "HTTP", "p/default", "-")),
        ((peers("STRICT"), rule("DISABLE")), ("CONFLICT", "STRICT", "HTTP", "p/default", "d/default")),
        ((peers("STRICT"), rule("SIMPLE")), ("CONFLICT", "STRICT", "TLS", "p/default", "d/default")),
        ((peers("DISABLE"), rule("ISTIO_MUTUAL")), ("CONFLICT", "HTTP", "mTLS", "p/default", "d/default")),
        ((rule("DISABLE"),), ("OK", "mTLS", "HTTP", "default/", "d/default")),
        ((peers("STRICT"), rule("ISTIO_MUTUAL")), ("OK", "STRICT", "mTLS", "p/default", "d/default")),
    ],
    ids=["nothing", "strict", "off", "plain-to-strict", "tls-to-strict", "mtls-to-plain", "plain-to-permissive", "agreed"],
)
def test_agreements(objects: tuple[Object, ...], expected: tuple[str, ...]) -> None:
    """What server and client want, whether that goes together, and who says so."""
    assert agreement(*objects) == expected


def test_the_most_specific_policy_counts() -> None:
    """The workload's before the namespace's before the mesh's, and a port's before all."""
    mesh = istio("PeerAuthentication", "mesh", {"mtls": {"mode": "STRICT"}}, namespace="istio-system")
    assert agreement(mesh)[1:4:2] == ("STRICT", "mesh/istio-system")
    assert agreement(mesh, peers("PERMISSIVE"))[1:4:2] == ("mTLS", "p/default")
    assert agreement(mesh, peers("PERMISSIVE"), peers("DISABLE", "w", **WEB))[1:4:2] == ("HTTP", "w/default")
    assert agreement(peers("DISABLE", "w", **WEB, portLevelMtls={"8080": {"mode": "STRICT"}}))[1] == "STRICT"
    assert agreement(peers("STRICT", "w", **WEB, portLevelMtls={"80": {"mode": "DISABLE"}}))[1] == "STRICT"


def test_unset_takes_what_is_above() -> None:
    """UNSET in the namespace, the workload or a port leaves the mode of the level above."""
    mesh = istio("PeerAuthentication", "mesh", {"mtls": {"mode": "STRICT"}}, namespace="istio-system")
    ports = {"8080": {"mode": "UNSET"}}
    assert agreement(mesh, peers("UNSET"), peers("UNSET", "w", **WEB, portLevelMtls=ports))[1] == "STRICT"


def test_a_selector_in_the_root_namespace_selects_nothing() -> None:
    """Only workloads of its own namespace could be meant, and there it is for the mesh that policies are read."""
    assert agreement(istio("PeerAuthentication", "x", {"mtls": {"mode": "STRICT"}, **WEB}, namespace="istio-system"))[1] == "mTLS"


def test_the_oldest_policy_counts() -> None:
    """Of two policies on one level the older one is taken."""
    old = {**peers("STRICT", "z"), "metadata": {"name": "z", "namespace": "default", "creationTimestamp": "2020-01-01T00:00:00Z"}}
    new = {**peers("DISABLE", "a"), "metadata": {"name": "a", "namespace": "default", "creationTimestamp": "2024-01-01T00:00:00Z"}}
    assert agreement(old, new)[1:4:2] == ("STRICT", "z/default")


def test_a_rule_for_the_port() -> None:
    """What a DestinationRule says of the port comes before what it says of the host."""
    settings = [{"port": {"number": 80}, "tls": {"mode": "DISABLE"}}]
    assert agreement(rule("ISTIO_MUTUAL", portLevelSettings=settings))[2] == "HTTP"


def test_clients_without_sidecar() -> None:
    """They speak plain text, which STRICT does not take."""
    assert agreement(peers("STRICT"), sidecar=False)[:3] == ("CONFLICT", "STRICT", "HTTP")
    assert agreement(sidecar=False)[:3] == ("OK", "mTLS", "HTTP")


def test_servers_without_sidecar() -> None:
    """Nothing is known of a server without sidecar, but that mutual TLS cannot go there when a rule asks for it."""
    assert agreement(server=False) == ("OK", "-", "-", "-", "-")
    assert agreement(rule("ISTIO_MUTUAL"), server=False)[0] == "CONFLICT"


def test_without_automatic_mutual_tls() -> None:
    """Then a client speaks plain text unless a rule says otherwise."""
    assert agreement(peers("STRICT"), mesh=MeshSettings(enable_auto_mtls=False))[:3] == ("CONFLICT", "STRICT", "HTTP")
