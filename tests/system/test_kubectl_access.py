"""The real kubectl against the whole API server: who may what, tokens, protobuf commands, webhooks, usage, proxying."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.builders import cluster_server, webhookserver
from tests.builders.cluster_server import Cluster
from tests.fakes.podruntime import ProcessPodRuntime

from varka.client.api import Gvr
from varka.cluster.apiserver.access import tokens

pytestmark = pytest.mark.system


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A server whose containers are processes of this machine."""
    runtime = ProcessPodRuntime(str(tmp_path))
    runtime.log = [b"one\n"]
    async with cluster_server.serving(tmp_path, runtime) as made:
        yield made


async def test_administrator(cluster: Cluster) -> None:
    """The kubeconfig's certificate is the administrator's."""
    code, out, _ = await cluster.run("auth", "whoami", "-o", "jsonpath={.status.userInfo}")
    assert (code, json.loads(out)) == (0, {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]})
    assert await cluster.run("auth", "can-i", "delete", "secrets") == (0, "yes\n", "")


async def test_token_and_roles(cluster: Cluster) -> None:
    """A ServiceAccount's token is good for what its binding gives, at once, and dies with the account."""
    assert (await cluster.run("create", "sa", "robot"))[0] == 0
    code, token, _ = await cluster.run("create", "token", "robot", "--duration=30m")
    assert code == 0
    refused = 'pods is forbidden: User "system:serviceaccount:default:robot" cannot list resource "pods" in API group "" in the namespace "default"'
    assert await cluster.run("get", "pods", token=token.strip()) == (1, "", f"Error from server (Forbidden): {refused}\n")
    assert (await cluster.run("create", "role", "reader", "--verb=get,list", "--resource=pods"))[0] == 0
    assert (await cluster.run("create", "rolebinding", "robots", "--role=reader", "--serviceaccount=default:robot"))[0] == 0
    assert await cluster.run("get", "pods", token=token.strip()) == (0, "", "No resources found in default namespace.\n")
    assert await cluster.run("auth", "can-i", "list", "pods", "--as=system:serviceaccount:default:robot") == (0, "yes\n", "")
    assert (await cluster.run("get", "pods", "-n", "kube-system", token=token.strip()))[0] == 1
    assert (await cluster.run("delete", "sa", "robot"))[0] == 0
    code, _, err = await cluster.run("get", "pods", token=token.strip())
    assert code == 1
    assert "Unauthorized" in err or "must be logged in" in err


async def test_aggregated_roles(cluster: Cluster) -> None:
    """A role with the label becomes a part of `view`."""
    made = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
        "metadata: {name: more-for-view, labels: {rbac.authorization.k8s.io/aggregate-to-view: 'true'}}\n"
        "rules: [{apiGroups: [scheduling.k8s.io], resources: [priorityclasses], verbs: [get]}]\n"
    )
    assert (await cluster.run("apply", "-f", "-", stdin=made.encode()))[0] == 0
    assert (await cluster.run("create", "clusterrolebinding", "jane", "--clusterrole=view", "--user=jane"))[0] == 0
    code, out, _ = await cluster.run("get", "--raw", "/apis/rbac.authorization.k8s.io/v1/clusterroles/view")
    assert code == 0
    assert {"apiGroups": ["scheduling.k8s.io"], "resources": ["priorityclasses"], "verbs": ["get"]} in json.loads(out)["rules"]
    assert (await cluster.run("auth", "can-i", "get", "priorityclasses.scheduling.k8s.io", "--as=jane"))[:2] == (0, "yes\n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("create ns foo", "namespace/foo created"),
        ("create cm settings --from-literal=a=b", "configmap/settings created"),
        ("create secret generic creds --from-literal=password=x", "secret/creds created"),
        ("create service nodeport np --tcp=80:http --node-port=30080", "service/np created"),
        ("create service externalname ext --external-name=example.com", "service/ext created"),
        ("create deployment web --image=nginx:1 --replicas=3 --port=80", "deployment.apps/web created"),
        ("create job once --image=busybox -- date", "job.batch/once created"),
        ("create ingress ing --rule=host.example/path*=web:80", "ingress.networking.k8s.io/ing created"),
        ("create pdb guard --selector=app=web --min-available=50%", "poddisruptionbudget.policy/guard created"),
        ("create quota q --hard=cpu=1", "resourcequota/q created"),
        ("create priorityclass high --value=1000", "priorityclass.scheduling.k8s.io/high created"),
        ("create clusterrole paths --verb=get --non-resource-url=/metrics", "clusterrole.rbac.authorization.k8s.io/paths created"),
    ],
)
async def test_protobuf_commands(cluster: Cluster, command: str, said: str) -> None:
    """The flag forms of create, which send protobuf, work."""
    assert await cluster.run(*command.split()) == (0, f"{said}\n", "")


async def test_usage_and_proxy(cluster: Cluster) -> None:
    """`kubectl top`, and HTTP through the API server to a pod's port."""
    await cluster.running_pod()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(line.strip()), line.strip()))
        await writer.drain()
        writer.close()

    code, out, _ = await cluster.run("top", "pods", "--no-headers")
    assert (code, out.split()) == (0, ["web-1", "7m", "67Mi"])
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        path = f"/api/v1/namespaces/default/pods/web-1:{port}/proxy/a/b?c=d"
        assert await cluster.run("get", "--raw", path) == (0, "GET /a/b?c=d HTTP/1.1", "")


async def test_exec_and_logs(cluster: Cluster) -> None:
    """Streams through TLS and authorization."""
    await cluster.running_pod()
    assert await cluster.run("exec", "-i", "web-1", "--", "sh", "-c", "cat; exit 3", stdin=b"abc") == (3, "abc", "command terminated with exit code 3\n")
    assert await cluster.run("logs", "web-1") == (0, "one\n", "")


async def test_webhooks(cluster: Cluster, tmp_path: Path) -> None:
    """A mutating webhook changes pods as they are made, a validating one refuses in its own words."""
    async with webhookserver.serving(tmp_path, "localhost") as hook:

        def answer(request: dict[str, object]) -> dict[str, object]:
            if request["operation"] == "DELETE":
                return {"allowed": False, "status": {"message": "it is needed"}}
            return webhookserver.patch({"op": "add", "path": "/metadata/labels", "value": {"injected": "true"}})

        hook.answer = answer
        url = f"https://localhost:{hook.port}/"
        for kind, operation in (("Mutating", "CREATE"), ("Validating", "DELETE")):
            rule = {"operations": [operation], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
            client = {"url": url, "caBundle": hook.ca_bundle}
            spec = {"name": "hook.example.com", "rules": [rule], "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
            config = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration", "metadata": {"name": "hook"}, "webhooks": [spec]}
            code, _, err = await cluster.run("apply", "-f", "-", stdin=json.dumps(config).encode())
            assert (code, err) == (0, "")
        assert await cluster.run("run", "p", "--image=nginx") == (0, "pod/p created\n", "")
        assert (await cluster.run("get", "pod", "p", "-o", "jsonpath={.metadata.labels}"))[1] == '{"injected":"true"}'
        refused = 'Error from server: admission webhook "hook.example.com" denied the request: it is needed\n'
        code, _, err = await cluster.run("delete", "pod", "p")
        assert (code, err) == (1, refused)
        assert cluster.server.core.store.get("pods", "default", "p") is not None


async def test_projected_token(cluster: Cluster) -> None:
    """The node's own components mint tokens bound to a pod, which other components review."""
    await cluster.api.create(tokens.SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}, "default")
    pod = await cluster.running_pod(serviceAccountName="web")
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "web-1", "uid": pod["metadata"]["uid"]}
    wish = {"spec": {"audiences": ["istio-ca"], "expirationSeconds": 43200, "boundObjectRef": reference}}
    made = await cluster.api.create(tokens.SERVICE_ACCOUNTS, wish, "default", name="web", subresource="token")
    review = {"spec": {"token": made["status"]["token"], "audiences": ["istio-ca"]}}
    answer = await cluster.api.create(Gvr("authentication.k8s.io", "v1", "tokenreviews"), review)
    assert answer["status"]["authenticated"] is True
    assert answer["status"]["user"]["extra"]["authentication.kubernetes.io/node-name"] == ["varka"]
