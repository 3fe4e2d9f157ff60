"""Tokens and external authorizers on a running mesh, with upstream's sample manifests as they are."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.system.clusters import PROGRAMS, Cluster, eventually

UPSTREAM = Path(__file__).parents[3] / "shared" / "istio-1.28.2" / "samples"
SAMPLES = ("sleep/sleep.yaml", "tcp-echo/tcp-echo.yaml", "httpbin/httpbin.yaml", "jwt-server/jwt-server.yaml", "extauthz/ext-authz.yaml")
ISSUER = "testing@secret.istio.io"
KEYS = "http://jwt-server.default.svc.cluster.local:8000"
pytestmark = pytest.mark.skipif(not UPSTREAM.exists(), reason="the upstream samples are not on this machine")


@pytest.fixture(scope="module")
def mesh() -> Iterator[Cluster]:
    """A mesh with a client, httpbin, an issuer of tokens and an external authorizer."""
    made = Cluster("security")
    try:
        made.up()
        istioctl(made, "install", "-y")
        made.kubectl("label", "namespace", "default", "istio-injection=enabled")
        for sample in SAMPLES:
            made.kubectl("apply", "-f", str(UPSTREAM / sample))
        made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=90s", timeout=120)
        yield made
    finally:
        made.destroy()


@pytest.fixture(autouse=True)
def no_policies(mesh: Cluster) -> Iterator[None]:
    """Every test begins without policies."""
    yield
    for kind in ("authorizationpolicies", "requestauthentications"):
        mesh.kubectl("delete", kind, "--all", "-n", "default")
    settled(lambda: status(mesh, "/headers", "-H", "Authorization: Bearer x") == "200")


def istioctl(mesh: Cluster, *arguments: str) -> str:
    return mesh.run(str(PROGRAMS / "istioctl"), *arguments, timeout=180).stdout


def curl(mesh: Cluster, *arguments: str) -> str:
    """What curl in the client's pod prints."""
    return mesh.kubectl("exec", "deploy/sleep", "-c", "sleep", "--", "curl", "-s", "--max-time", "5", *arguments, check=False).stdout


def status(mesh: Cluster, path: str, *arguments: str) -> str:
    """The status of a request to httpbin."""
    return curl(mesh, "-o", "/dev/null", "-w", "%{http_code}", *arguments, f"http://httpbin:8000{path}")


def settled(condition: Callable[[], bool]) -> None:
    """Wait until it holds several times in a row: each connection that was open before a change lets one more request by."""
    eventually(lambda: all(condition() for _ in range(4)), what="the end of old connections")


def token(mesh: Cluster, query: str) -> str:
    """A token of the sample's issuer."""
    return curl(mesh, f"http://jwt-server:8000/token?{query}").strip()


def request_authentication(**rule: Any) -> str:
    """One rule for httpbin."""
    spec = {
        "selector": {"matchLabels": {"app": "httpbin"}},
        "jwtRules": [{name: value for name, value in {"issuer": ISSUER, "jwksUri": KEYS, **rule}.items() if value is not None}],
    }
    return json.dumps(
        {"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication", "metadata": {"name": "httpbin", "namespace": "default"}, "spec": spec}
    )


def policy(name: str, spec: dict[str, Any]) -> str:
    """A policy for httpbin."""
    body = {"selector": {"matchLabels": {"app": "httpbin"}}, **spec}
    return json.dumps({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": name, "namespace": "default"}, "spec": body})


def bearer(text: str) -> tuple[str, str]:
    """The header that carries a token."""
    return "-H", f"Authorization: Bearer {text}"


def test_fetched_keys_decide_about_tokens(mesh: Cluster) -> None:
    """The control plane fetches the keys; good tokens pass, bad ones are refused, none at all passes, and claims arrive as headers."""
    claims = [{"header": "x-group", "claim": "group"}, {"header": "x-unit", "claim": "org.unit"}]
    mesh.apply(request_authentication(outputClaimToHeaders=claims, outputPayloadToHeader="x-payload", forwardOriginalToken=True))
    good = token(mesh, "sub=ann&group=readers&org.unit=books")
    settled(lambda: status(mesh, "/get", *bearer(good + "x")) == "401")
    assert status(mesh, "/get") == "200"
    headers = json.loads(curl(mesh, *bearer(good), "http://httpbin:8000/headers"))["headers"]
    assert (headers["X-Group"], headers["X-Unit"], headers["Authorization"]) == (["readers"], ["books"], [f"Bearer {good}"])
    payload = json.loads(base64.urlsafe_b64decode(headers["X-Payload"][0] + "=="))
    assert (payload["iss"], payload["sub"]) == (ISSUER, "ann")


def test_claims_decide(mesh: Cluster) -> None:
    """A policy that asks for a claim lets through only who has it, and the log names what refused."""
    mesh.apply(request_authentication())
    rule = {"from": [{"source": {"requestPrincipals": [f"{ISSUER}/*"]}}], "when": [{"key": "request.auth.claims[groups]", "values": ["writers"]}]}
    mesh.apply(policy("writers", {"rules": [rule]}))
    settled(lambda: status(mesh, "/get") == "403")
    assert status(mesh, "/get", *bearer(token(mesh, "sub=ann&groups=readers,writers"))) == "200"
    assert status(mesh, "/get", *bearer(token(mesh, "sub=ann&groups=readers"))) == "403"
    found = "rbac_access_denied_matched_policy[none]"
    eventually(lambda: found in mesh.kubectl("logs", "deploy/httpbin", "-c", "istio-proxy").stdout, what="the refusal in the access log")


def test_keys_that_nobody_serves(mesh: Cluster) -> None:
    """Without keys every token is refused and requests without one pass; when the server is there, tokens pass again by themselves."""
    mesh.apply(request_authentication(jwksUri="http://late:8000/keys"))
    good = token(mesh, "sub=ann")
    settled(lambda: status(mesh, "/get", *bearer(good)) == "401")
    assert status(mesh, "/get") == "200"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late", "namespace": "istio-system"}}
    name = {"type": "ExternalName", "externalName": "jwt-server.default.svc.cluster.local"}
    try:
        mesh.apply(json.dumps({**service, "spec": name}))
        eventually(lambda: status(mesh, "/get", *bearer(good)) == "200", seconds=90, what="the keys of a server that came later")
    finally:
        mesh.kubectl("delete", "service", "late", "-n", "istio-system", "--ignore-not-found")


def test_issuers_say_where_their_keys_are(mesh: Cluster) -> None:
    """Without `jwksUri` the keys are found by the issuer's OpenID configuration."""
    mesh.apply(request_authentication(issuer=KEYS, jwksUri=None))
    settled(lambda: status(mesh, "/get", *bearer(token(mesh, "sub=ann"))) == "401")
    assert status(mesh, "/get", *bearer(token(mesh, f"sub=ann&iss={KEYS}"))) == "200"


def providers(mesh: Cluster, found: list[dict[str, Any]]) -> None:
    """Set the mesh's extension providers, which takes effect without a restart."""
    config = yaml.safe_load(mesh.get("configmap", "istio", "-n", "istio-system")["data"]["mesh"])
    patch = {"data": {"mesh": yaml.safe_dump({**config, "extensionProviders": found})}}
    mesh.kubectl("patch", "configmap", "istio", "-n", "istio-system", "--type=merge", "-p", json.dumps(patch))


AUTHORIZERS = {
    "http": {
        "envoyExtAuthzHttp": {
            "service": "ext-authz.default.svc.cluster.local",
            "port": 8000,
            "includeRequestHeadersInCheck": ["x-ext-authz"],
            "headersToUpstreamOnAllow": ["x-ext-authz-check-result"],
            "headersToDownstreamOnDeny": ["x-ext-authz-check-result"],
        }
    },
    "grpc": {"envoyExtAuthzGrpc": {"service": "default/ext-authz.default.svc.cluster.local", "port": 9000}},
}


@pytest.mark.parametrize("kind", sorted(AUTHORIZERS))
def test_an_external_authorizer_decides(mesh: Cluster, kind: str) -> None:
    """What a CUSTOM policy matches is decided by the authorizer, whose headers pass; other requests are not shown to it."""
    where = "http://httpbin:8000/headers"
    providers(mesh, [{"name": "ext", **AUTHORIZERS[kind]}])
    mesh.apply(policy("ask", {"action": "CUSTOM", "provider": {"name": "ext"}, "rules": [{"to": [{"operation": {"paths": ["/headers"]}}]}]}))
    eventually(lambda: "x-ext-authz-check-result: denied" in curl(mesh, "-i", "-H", "x-ext-authz: deny", where), what="the authorizer's refusal")
    eventually(lambda: '"X-Ext-Authz-Check-Result": ["allowed"]' in curl(mesh, "-H", "x-ext-authz: allow", where), what="the authorizer's consent")
    settled(lambda: "denied by ext_authz" in curl(mesh, "-H", "x-ext-authz: deny", where))
    assert status(mesh, "/get", "-H", "x-ext-authz: deny") == "200"


def test_connections_are_shown_to_an_authorizer(mesh: Cluster) -> None:
    """Bytes that are not HTTP are let through by a gRPC authorizer or not at all."""
    providers(mesh, [{"name": "ext", **AUTHORIZERS["grpc"]}])
    say = ("exec", "deploy/sleep", "-c", "sleep", "--", "sh", "-c", "echo some bytes | nc -w 3 tcp-echo 9000")
    eventually(lambda: "some bytes" in mesh.kubectl(*say, check=False).stdout, what="the echo")
    rule = {"action": "CUSTOM", "provider": {"name": "ext"}, "rules": [{"to": [{"operation": {"ports": ["9000"]}}]}]}
    mesh.apply(policy("ask", {"selector": {"matchLabels": {"app": "tcp-echo"}}, **rule}))
    eventually(lambda: "some bytes" not in mesh.kubectl(*say, check=False).stdout, what="the refusal")
    assert "[gRPC][denied]" in mesh.kubectl("logs", "deploy/ext-authz").stdout


def test_an_authorizer_that_does_not_answer(mesh: Cluster) -> None:
    """`failOpen` lets requests by, `statusOnError` is the answer otherwise."""
    nobody = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nobody", "namespace": "default"}}
    mesh.apply(json.dumps({**nobody, "spec": {"selector": {"app": "nobody"}, "ports": [{"name": "http", "port": 80}]}}))
    service = {"service": "nobody.default.svc.cluster.local", "port": 80, "timeout": "1s"}
    providers(mesh, [{"name": "ext", "envoyExtAuthzHttp": {**service, "statusOnError": "503"}}])
    mesh.apply(policy("ask", {"action": "CUSTOM", "provider": {"name": "ext"}, "rules": [{}]}))
    eventually(lambda: status(mesh, "/get") == "503", what="the status of the error")
    providers(mesh, [{"name": "ext", "envoyExtAuthzHttp": {**service, "failOpen": True}}])
    eventually(lambda: status(mesh, "/get") == "200", what="the open door")


def test_dry_run_counts(mesh: Cluster) -> None:
    """A policy in dry run refuses nothing, and Envoy counts what it would have refused."""
    dry = json.loads(policy("try", {"action": "DENY", "rules": [{}]}))
    dry["metadata"]["annotations"] = {"istio.io/dry-run": "true"}
    mesh.apply(json.dumps(dry))
    stats = ("exec", "deploy/httpbin", "-c", "istio-proxy", "--", "curl", "-s", "localhost:15000/stats?filter=istio_dry_run_deny_.*shadow_denied")

    def refused() -> int:
        assert status(mesh, "/get") == "200"
        return sum(int(line.rpartition(": ")[2]) for line in mesh.kubectl(*stats).stdout.splitlines())

    eventually(refused, what="the count")


def test_an_authorizer_that_is_not_there(mesh: Cluster) -> None:
    """A CUSTOM policy whose provider nobody defined refuses what it matches."""
    mesh.apply(policy("ask", {"action": "CUSTOM", "provider": {"name": "nobody"}, "rules": [{"to": [{"operation": {"paths": ["/headers"]}}]}]}))
    settled(lambda: status(mesh, "/headers", "-H", "x-ext-authz: allow") == "403")
    assert status(mesh, "/get") == "200"
    told = "no external authorizer 'nobody'"
    eventually(lambda: told in json.dumps(mesh.get("authorizationpolicy", "ask", "-n", "default").get("status", {})), what="the condition on the policy")


def test_what_a_person_is_told(mesh: Cluster) -> None:
    """`authz check` lists what the proxy enforces, `authz explain` says what becomes of a request, and the proxy does just that."""
    mesh.apply(policy("readers", {"rules": [{"from": [{"source": {"serviceAccounts": ["sleep"]}}], "to": [{"operation": {"methods": ["GET"]}}]}]}))
    mesh.apply(policy("no-admin", {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin*"]}}]}]}))
    settled(lambda: status(mesh, "/admin") == status(mesh, "/post", "-X", "POST") == "403")
    listed = istioctl(mesh, "x", "authz", "check", "deploy/httpbin").splitlines()
    assert [line.split() for line in listed] == [
        ["ACTION", "AuthorizationPolicy", "RULES"], ["DENY", "no-admin.default", "1"], ["ALLOW", "readers.default", "1"],
    ]  # fmt: skip
    for method, path, verdict, decisive in (
        ("GET", "/get", "allowed", "ns[default]-policy[readers]-rule[0]"),
        ("POST", "/post", "denied", ""),
        ("GET", "/admin", "denied", "ns[default]-policy[no-admin]-rule[0]"),
    ):
        asked = ("--from", "deploy/sleep", "-X", method, "--path", path, "-o", "json")
        (told,) = json.loads(istioctl(mesh, "experimental", "authz", "explain", "deploy/httpbin", *asked))
        assert (told["verdict"], told["rule"]) == (verdict, decisive)
        assert status(mesh, path, "-X", method) == ("403" if verdict == "denied" else "200")
    everybody = istioctl(mesh, "x", "authz", "explain", "deploy/httpbin")
    assert "cluster.local/ns/default/sa/sleep" in everybody and "anyone without a certificate" in everybody


ROUTES = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [httpbin.example.com]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: by-claim, namespace: default}
spec:
  hosts: [httpbin.example.com]
  gateways: [front]
  http:
  - match: [{headers: {"@request.auth.claims.groups": {exact: writers}}}]
    route: [{destination: {host: httpbin, port: {number: 8000}}}]
  - directResponse: {status: 418}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: front, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  jwtRules: [{issuer: ISSUER, jwksUri: KEYS}]
"""


def test_claims_choose_routes_at_a_gateway(mesh: Cluster) -> None:
    """Who has the claim, even in a list, gets the one route, and everybody else the other."""
    mesh.apply(ROUTES.replace("ISSUER", ISSUER).replace("KEYS", KEYS))
    ask = ("-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: httpbin.example.com", "http://istio-ingressgateway.istio-system/get")
    eventually(lambda: curl(mesh, *ask) == "418", what="the route without claims")
    eventually(lambda: curl(mesh, *bearer(token(mesh, "sub=ann&groups=readers,writers")), *ask) == "200", what="the route of writers")
    assert curl(mesh, *bearer(token(mesh, "sub=ann&groups=readers")), *ask) == "418"
    assert curl(mesh, *bearer(token(mesh, "sub=ann&groups=writers") + "x"), *ask) == "401"
    mesh.kubectl("delete", "-f", "-", stdin=ROUTES)


def test_proxies_fetch_keys_if_they_are_told_to(mesh: Cluster) -> None:
    """With PILOT_JWT_ENABLE_REMOTE_JWKS the proxy asks the issuer's service itself, and the control plane does not."""
    mesh.kubectl("set", "env", "deployment/istiod", "-n", "istio-system", "PILOT_JWT_ENABLE_REMOTE_JWKS=envoy")
    mesh.kubectl("rollout", "status", "deployment/istiod", "-n", "istio-system", "--timeout=60s", timeout=90)
    mesh.apply(request_authentication())
    good = token(mesh, "sub=ann")
    eventually(lambda: status(mesh, "/get", *bearer(good + "x")) == "401", seconds=60, what="the refusal of a bad token")
    eventually(lambda: status(mesh, "/get", *bearer(good)) == "200", what="the consent to a good one")
    assert "remote_jwks" in mesh.kubectl("exec", "deploy/httpbin", "-c", "istio-proxy", "--", "curl", "-s", "localhost:15000/config_dump").stdout
