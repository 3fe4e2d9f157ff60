from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from varka.envoy.observing import exposition
from varka.telemetry.requests import parsing

W3C, B3 = "4bf92f3577b34da6a3ce929d0e0e4736", "80f198ee56343ba864fe8b2a57d3eff7"
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def seen() -> Any:
    """What the requests between real Envoys saw."""
    if shutil.which("nft") is None or subprocess.run(["unshare", "-rn", "true"], check=False).returncode != 0:
        pytest.skip("needs nft and unprivileged namespaces")
    done = subprocess.run(["unshare", "-rn", sys.executable, "-m", "tests.system.envoy_pair"], cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_envoy_accepts_everything(seen: Any) -> None:
    """No resource is refused, and no deprecated field is used."""
    assert seen["refusals"] == []
    assert not any("eprecated" in log for log in seen["logs"].values())


def test_every_certificate_stream_carries_its_nonce(seen: Any) -> None:
    """The agent can tell the Envoys apart by the secret that each was started with."""
    assert seen["nonces"] == ["nonce-client", "nonce-ingress", "nonce-web"]


def test_the_application_sees_the_callers_identity(seen: Any) -> None:
    """A request through both sidecars arrives with the caller's SPIFFE ID, and without the headers that proxies exchange."""
    headers = json.loads(seen["get"]["body"])["headers"]
    assert seen["get"]["status"] == 200
    assert "URI=spiffe://cluster.local/ns/default/sa/client" in headers["x-forwarded-client-cert"]
    assert not any(name.startswith("x-varka") for name in headers)


@pytest.mark.parametrize("name", ["post", "secret", "sniffed-http-post", "gateway-post"])
def test_what_is_not_allowed_is_denied(seen: Any, name: str) -> None:
    """Requests outside the policies get 403 with Envoy's text."""
    assert (seen[name]["status"], seen[name]["body"]) == (403, "RBAC: access denied")


def test_the_log_names_the_policy(seen: Any) -> None:
    """A denial by a DENY policy is logged with the policy's name."""
    assert "rbac_access_denied_matched_policy[ns[default]-policy[no-secret]-rule[0]]" in seen["logs"]["web"]


@pytest.mark.parametrize("name", ["plain", "unknown-host"])
def test_strict_refuses_plain_requests(seen: Any, name: str) -> None:
    """Without mTLS there is no answer at all."""
    assert seen[name]["status"] == 0


def test_strict_covers_ports_without_a_service(seen: Any) -> None:
    """A port that no service points at is no way around mTLS."""
    assert seen["plain-other-port"].startswith("error") or seen["plain-other-port"] == ""


def test_tcp_passes(seen: Any) -> None:
    """Bytes that are not HTTP reach the application through mTLS, on a TCP port and on a sniffed one."""
    assert (seen["tcp"], seen["sniffed-tcp"]) == ("PING", "PING\n")


def test_http_is_sniffed(seen: Any) -> None:
    """On a port of unknown protocol HTTP is recognised on both sides."""
    assert seen["sniffed-http"]["status"] == 200


def test_grpc_passes(seen: Any) -> None:
    """HTTP/2 is spoken from end to end, on a port that says so and on a sniffed one."""
    assert (seen["grpc"], seen["sniffed-grpc"]) == ("PING", "PING")


def test_a_gateway_presents_the_named_certificate(seen: Any) -> None:
    """HTTPS is served with the Secret's certificate to clients that ask for the host, and to no others."""
    assert (seen["gateway-tls"]["status"], seen["gateway-tls"]["names"]) == (200, ["shop.example.com"])
    assert seen["gateway-unknown-name"]["status"] == 0


def test_a_wrong_server_is_not_trusted(seen: Any) -> None:
    """A server whose certificate is not the service's gets no request."""
    assert seen["wrong-identity"]["status"] == 503


def test_rules_of_a_virtual_service(seen: Any) -> None:
    """Fault, redirect, direct response and rewrite do what they say."""
    assert seen["abort"]["status"] == 418
    assert (seen["redirect"]["status"], seen["redirect"]["headers"]["location"]) == (302, "http://web:9080/new")
    assert (seen["direct"]["status"], seen["direct"]["body"]) == (203, "here")
    rewritten = json.loads(seen["rewrite"]["body"])
    assert (rewritten["path"], rewritten["headers"]["x-set"]) == ("/rewritten/x", "yes")


def test_filters_work_where_routes_ask_for_them(seen: Any) -> None:
    """A fault and CORS happen on the routes that have them, and on no other."""
    assert (seen["abort"]["status"], seen["rewrite"]["status"]) == (418, 200)
    assert (seen["cors"]["status"], seen["cors"]["headers"].get("access-control-allow-origin")) == (200, "https://example.com")
    assert (seen["no-cors"]["status"], "access-control-allow-origin" in seen["no-cors"]["headers"]) == (200, False)


def test_a_gateway_speaks_mesh_mtls(seen: Any) -> None:
    """A request through the gateway reaches the workload under the gateway's identity."""
    headers = json.loads(seen["gateway"]["body"])["headers"]
    assert "URI=spiffe://cluster.local/ns/istio-system/sa/ingress" in headers["x-forwarded-client-cert"]


def test_requests_are_counted_on_both_sides(seen: Any) -> None:
    """`istio_requests_total` tells who called whom, how, and with what result."""
    sent = exposition.istio(seen["stats"]["client"])
    taken = exposition.istio(seen["stats"]["web"])
    wanted = ('response_code="200"', 'source_workload="client"', 'destination_service_name="web"')
    (line,) = (x for x in taken.splitlines() if x.startswith("istio_requests_total{") and all(part in x for part in wanted))
    for label in (
        'reporter="destination"',
        'source_principal="spiffe://cluster.local/ns/default/sa/client"',
        'destination_service="web.default.svc.cluster.local"',
        'connection_security_policy="mutual_tls"',
        'security_policy="mutual_tls"',
    ):
        assert label in line
    assert any('reporter="source"' in x and 'destination_workload="web"' in x for x in sent.splitlines())


def found(text: str, name: str, **labels: str) -> float:
    """The sum of a metric's series with these labels."""
    total = 0.0
    for line in exposition.istio(text).splitlines():
        if line.startswith(name + "{"):
            given = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if all(given.get(key) == value for key, value in labels.items()):
                total += float(line.rpartition(" ")[2])
    return total


def test_connections_and_bytes_are_counted(seen: Any) -> None:
    """One connection with four bytes each way is one opened, one closed, and four bytes in both directions, on both sides."""
    for side, reporter in (("client", "source"), ("web", "destination")):
        of = {"reporter": reporter, "destination_service_name": "web", "destination_workload": "web", "request_protocol": "tcp", "response_flags": "-"}
        counts = [found(seen["stats"][side], f"istio_tcp_{what}_total", **of) for what in ("connections_opened", "connections_closed")]
        sizes = [found(seen["stats"][side], f"istio_tcp_{what}_bytes_total", **of) for what in ("received", "sent")]
        assert (counts, sizes) == ([1, 1], [4, 4])


def test_calls_are_told_from_requests(seen: Any) -> None:
    """Two unary calls are two requests of protocol grpc with status 0 and two messages in both directions, whatever the port is called."""
    for side, reporter in (("client", "source"), ("web", "destination")):
        of = {"reporter": reporter, "destination_service_name": "more", "request_protocol": "grpc", "grpc_response_status": "0", "response_code": "200"}
        counts = [found(seen["stats"][side], f"istio_{what}_total", **of) for what in ("requests", "request_messages", "response_messages")]
        assert counts == [2, 2, 2]


@pytest.mark.parametrize(("name", "status"), [("grpc-fails", "5"), ("grpc-denied", "7")])
def test_calls_that_fail_have_their_status(seen: Any, name: str, status: str) -> None:
    """What the server answers, and what a policy refuses: each is counted once by both sides under the status that the caller got."""
    assert seen[name] == f"error: {status}"
    for side, reporter in (("client", "source"), ("web", "destination")):
        of = {"reporter": reporter, "destination_service_name": "more", "request_protocol": "grpc", "response_code": "200"}
        assert found(seen["stats"][side], "istio_requests_total", grpc_response_status=status, **of) == 1


def test_json_names_both_ends(seen: Any) -> None:
    """The default JSON has Istio's fields and the identities of the connection; `varka requests` reads it like the text."""
    lines = [line for line in seen["logs"]["web"].splitlines() if line.startswith("{")]
    (raw,) = (line for line in lines if json.loads(line)["path"] == "/secret/x")
    told = json.loads(raw)
    assert told["requested_server_name"] == "outbound_.9080_._.web.default.svc.cluster.local"
    assert (told["downstream_peer_uri_san"], told["downstream_local_uri_san"]) == (
        "spiffe://cluster.local/ns/default/sa/client",
        "spiffe://cluster.local/ns/default/sa/web",
    )
    assert (told["downstream_peer_issuer"], told["downstream_tls_version"]) == ("O=cluster.local", "TLSv1.3")
    assert told["downstream_tls_cipher"].startswith("TLS_") and len(told["downstream_peer_serial"]) >= 16
    assert (told["downstream_local_subject"], told["downstream_peer_subject"]) == (None, None)
    line = parsing.line(raw.encode())
    assert line is not None
    assert (line.response_code, line.method, line.policy, line.direction) == (403, "GET", "default/no-secret", "inbound")


def test_log_records_go_to_a_collector(seen: Any) -> None:
    """OpenTelemetry gets the text as the body and the labels as attributes, one record for each request and connection of the gateway."""
    records = seen["otlp"]["records"]
    codes = sorted(record["code"]["stringValue"] for record in records)
    assert codes == ["0", "200", "200", "403"]
    (secure,) = (record for record in records if '"GET /secure HTTP/1.1" 200' in record["body"])
    assert secure["tls"] == {"kvlistValue": {"values": [{"key": "name", "value": {"stringValue": "shop.example.com"}}]}}


def test_traces_go_on_in_both_forms(seen: Any) -> None:
    """W3C's header is continued in OTLP and B3's in Zipkin, with Istio's names and tags; the application gets both forms."""
    traces = {trace: (name, tags) for trace, name, tags in seen["otlp"]["spans"]}
    name, tags = traces[W3C]
    assert name == "web.default.svc.cluster.local:9080/*"
    assert {"team", "node", "istio.mesh_id", "istio.canonical_service", "http.method", "upstream_cluster", "response_flags", "peer.address"} <= set(tags)
    (span,) = (one for one in seen["zipkin"] if one["traceId"] == B3)
    assert (span["kind"], span["parentId"], span["localEndpoint"]["serviceName"]) == ("SERVER", "00f067aa0ba902b7", "web.default")
    assert (span["tags"]["istio.mesh_id"], span["tags"]["http.status_code"], span["tags"]["upstream_cluster"]) == ("cluster.local", "200", "inbound|9080||")
    dry = "istio.authorization.dry_run.deny_policy"
    assert (span["tags"][f"{dry}.name"], span["tags"][f"{dry}.result"]) == ("ns[default]-policy[tried]-rule[0]", "denied")
    assert not any(name.startswith("istio.authorization.dry_run.allow") for name in span["tags"])
    headers = json.loads(seen["b3"]["body"])["headers"]
    assert (headers["x-b3-traceid"], headers["x-b3-sampled"], headers["traceparent"].split("-")[1]) == (B3, "1", B3)


def test_requests_that_lead_nowhere_are_counted(seen: Any) -> None:
    """Refusals, faults and failed connections have their codes and flags; the host that was asked for is passed through to."""
    client = seen["stats"]["client"]
    assert found(client, "istio_requests_total", destination_service_name="web", response_code="403") == 2
    assert found(client, "istio_requests_total", destination_service_name="web", response_code="418", response_flags="FI") == 1
    assert found(client, "istio_requests_total", destination_service_name="closed", response_code="503", destination_workload="closed") == 1


def test_telemetry_changes_labels_metrics_and_logs(seen: Any) -> None:
    """At the gateway a label is computed, one is gone, a metric is off, and only failures are logged."""
    assert found(seen["stats"]["ingress"], "istio_requests_total", path="/through", response_code="403", source_workload="ingress") == 1
    assert "source_app" not in next(line for line in seen["stats"]["ingress"].splitlines() if line.startswith("envoy_istio_requests_total{"))
    assert "istio_request_bytes" not in seen["stats"]["ingress"]
    assert "FAILED 403 /through" in seen["logs"]["ingress"]
    assert "FAILED 200" not in seen["logs"]["ingress"]


def test_a_spoofed_peer_is_overwritten(seen: Any) -> None:
    """A header by which an application claims to be another workload does not get into the metrics."""
    assert found(seen["stats"]["web"], "istio_requests_total", source_workload="root") == 0
    assert "=root|" not in seen["stats"]["web"]
