"""Tokens and external authorizers on a running mesh, with upstream's sample manifests as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.system.clusters import PROGRAMS, Cluster, eventually

UPSTREAM = Path(__file__).parents[3] / "shared" / "istio-1.28.2" / "samples"
SAMPLES = ("sleep/sleep.yaml", "httpbin/httpbin.yaml", "jwt-server/jwt-server.yaml", "extauthz/ext-authz.yaml")
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


def istioctl(mesh: Cluster, *arguments: str) -> str:
    return mesh.run(str(PROGRAMS / "istioctl"), *arguments, timeout=180).stdout


def curl(mesh: Cluster, *arguments: str) -> str:
    """What curl in the client's pod prints."""
    return mesh.kubectl("exec", "deploy/sleep", "-c", "sleep", "--", "curl", "-s", "--max-time", "5", *arguments, check=False).stdout


def status(mesh: Cluster, path: str, *arguments: str) -> str:
    """The status of a request to httpbin."""
    return curl(mesh, "-o", "/dev/null", "-w", "%{http_code}", *arguments, f"http://httpbin:8000{path}")


def token(mesh: Cluster, query: str) -> str:
    """A token of the sample's issuer."""
    return curl(mesh, f"http://jwt-server:8000/token?{query}").strip()


def request_authentication(**rule: Any) -> str:
    """One rule for httpbin."""
    spec = {"selector": {"matchLabels": {"app": "httpbin"}}, "jwtRules": [{"issuer": ISSUER, "jwksUri": KEYS, **rule}]}
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
    mesh.apply(request_authentication(outputClaimToHeaders=[{"header": "x-group", "claim": "group"}], forwardOriginalToken=True))
    good = token(mesh, "sub=ann&group=readers")
    eventually(lambda: status(mesh, "/get", *bearer(good + "x")) == "401", what="the refusal of a bad token")
    assert status(mesh, "/get") == "200"
    headers = json.loads(curl(mesh, *bearer(good), "http://httpbin:8000/headers"))["headers"]
    assert (headers["X-Group"], headers["Authorization"]) == (["readers"], [f"Bearer {good}"])


def test_claims_decide(mesh: Cluster) -> None:
    """A policy that asks for a claim lets through only who has it, and the log names what refused."""
    mesh.apply(request_authentication())
    rule = {"from": [{"source": {"requestPrincipals": [f"{ISSUER}/*"]}}], "when": [{"key": "request.auth.claims[groups]", "values": ["writers"]}]}
    mesh.apply(policy("writers", {"rules": [rule]}))
    eventually(lambda: status(mesh, "/get") == "403", what="the refusal of a request without token")
    assert status(mesh, "/get", *bearer(token(mesh, "sub=ann&groups=readers,writers"))) == "200"
    assert status(mesh, "/get", *bearer(token(mesh, "sub=ann&groups=readers"))) == "403"
    found = "rbac_access_denied_matched_policy[none]"
    eventually(lambda: found in mesh.kubectl("logs", "deploy/httpbin", "-c", "istio-proxy").stdout, what="the refusal in the access log")


def test_keys_that_nobody_serves(mesh: Cluster) -> None:
    """Without keys every token is refused and requests without one pass; when the server is there, tokens pass again by themselves."""
    mesh.apply(request_authentication(jwksUri="http://late:8000/keys"))
    good = token(mesh, "sub=ann")
    eventually(lambda: status(mesh, "/get", *bearer(good)) == "401", what="the refusal of tokens without keys")
    assert status(mesh, "/get") == "200"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late", "namespace": "istio-system"}}
    name = {"type": "ExternalName", "externalName": "jwt-server.default.svc.cluster.local"}
    try:
        mesh.apply(json.dumps({**service, "spec": name}))
        eventually(lambda: status(mesh, "/get", *bearer(good)) == "200", seconds=90, what="the keys of a server that came later")
    finally:
        mesh.kubectl("delete", "service", "late", "-n", "istio-system", "--ignore-not-found")


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
    providers(mesh, [{"name": "ext", **AUTHORIZERS[kind]}])
    mesh.apply(policy("ask", {"action": "CUSTOM", "provider": {"name": "ext"}, "rules": [{"to": [{"operation": {"paths": ["/headers"]}}]}]}))
    eventually(lambda: status(mesh, "/headers", "-H", "x-ext-authz: deny") == "403", what="the authorizer's refusal")
    eventually(lambda: status(mesh, "/headers", "-H", "x-ext-authz: allow") == "200", what="the authorizer's consent")
    refused = curl(mesh, "-i", "-H", "x-ext-authz: deny", "http://httpbin:8000/headers")
    assert "x-ext-authz-check-result: denied" in refused
    assert "denied by ext_authz" in refused
    headers = json.loads(curl(mesh, "-H", "x-ext-authz: allow", "http://httpbin:8000/headers"))["headers"]
    assert headers["X-Ext-Authz-Check-Result"] == ["allowed"]
    assert status(mesh, "/get", "-H", "x-ext-authz: deny") == "200"


def test_an_authorizer_that_is_not_there(mesh: Cluster) -> None:
    """A CUSTOM policy whose provider nobody defined refuses what it matches."""
    mesh.apply(policy("ask", {"action": "CUSTOM", "provider": {"name": "nobody"}, "rules": [{"to": [{"operation": {"paths": ["/headers"]}}]}]}))
    eventually(lambda: status(mesh, "/headers", "-H", "x-ext-authz: allow") == "403", what="the refusal")
    assert status(mesh, "/get") == "200"


def test_what_a_person_is_told(mesh: Cluster) -> None:
    """`authz check` lists what the proxy enforces, `authz explain` says what becomes of a request, and the proxy does just that."""
    mesh.apply(policy("readers", {"rules": [{"from": [{"source": {"serviceAccounts": ["sleep"]}}], "to": [{"operation": {"methods": ["GET"]}}]}]}))
    mesh.apply(policy("no-admin", {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin*"]}}]}]}))
    eventually(lambda: status(mesh, "/admin") == "403", what="the policies")
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
