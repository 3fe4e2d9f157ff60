"""What the real kubectl does with the API server alone, over loopback."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from varka.cluster.apiserver import protobuf
from varka.cluster.apiserver.request import Extensions
from varka.cluster.apiserver.server import ServerSettings, running

KUBECTL = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
Run = Callable[..., Awaitable[tuple[int, str]]]

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl")

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: "web:1", ports: [{containerPort: 8080}]}
      - {name: side, image: "side:1"}
"""
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, kind: Thing, shortNames: [th]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What is wished for.
            properties: {size: {type: integer, minimum: 1, description: How big it is.}}
"""
THING = """
apiVersion: example.com/v1
kind: Thing
metadata: {name: t1}
spec: {size: 3}
"""


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Run]:
    """Runs kubectl against a fresh server; gives its exit code and output."""
    settings = ServerSettings(store=tmp_path / "store.db", tcp=("127.0.0.1", 0), needs_account=False)
    async with running(settings, Extensions(protobuf=protobuf.decode)) as server:

        async def run(*arguments: str, stdin: str = "") -> tuple[int, str]:
            process = await asyncio.create_subprocess_exec(
                str(KUBECTL),
                f"--server=http://127.0.0.1:{server.port}",
                f"--cache-dir={tmp_path / 'cache'}",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={"KUBECONFIG": "/dev/null", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            )
            async with asyncio.timeout(30):
                output, _ = await process.communicate(stdin.encode())
            return process.returncode or 0, output.decode()

        yield run


async def ok(run: Run, *arguments: str, stdin: str = "") -> str:
    """The output of a kubectl command that must succeed."""
    code, output = await run(*arguments, stdin=stdin)
    assert code == 0, output
    return output


async def test_apply_edit_scale_delete(kubectl: Run) -> None:
    """A Deployment's life by client-side apply."""
    assert "deployment.apps/web created" in await ok(kubectl, "apply", "-f", "-", stdin=DEPLOYMENT)
    assert "deployment.apps/web unchanged" in await ok(kubectl, "apply", "-f", "-", stdin=DEPLOYMENT)
    assert "deployment.apps/web configured" in await ok(kubectl, "apply", "-f", "-", stdin=DEPLOYMENT.replace("web:1", "web:2"))
    await ok(kubectl, "set", "image", "deploy/web", "app=web:3")
    await ok(kubectl, "scale", "deploy", "web", "--replicas=5")
    await ok(kubectl, "rollout", "restart", "deploy/web")
    await ok(kubectl, "label", "deploy", "web", "x=y")
    await ok(kubectl, "annotate", "deploy", "web", "note=z")
    await ok(kubectl, "patch", "deploy", "web", "-p", '{"spec":{"paused":true}}')
    await ok(kubectl, "patch", "deploy", "web", "--type=json", "-p", '[{"op":"remove","path":"/spec/paused"}]')
    obj = json.loads(await ok(kubectl, "get", "deploy", "web", "-o", "json"))
    assert obj["spec"]["replicas"] == 5
    assert [item["image"] for item in obj["spec"]["template"]["spec"]["containers"]] == ["web:3", "side:1"]
    assert "kubectl.kubernetes.io/restartedAt" in obj["spec"]["template"]["metadata"]["annotations"]
    assert await ok(kubectl, "get", "deploy", "web", "-o", "jsonpath={.metadata.labels.x}") == "y"
    await ok(kubectl, "wait", "--for=jsonpath={.spec.replicas}=5", "deploy/web", "--timeout=5s")
    assert 'deployment.apps "web" deleted' in await ok(kubectl, "delete", "deploy", "web")
    assert await kubectl("get", "deploy", "web") == (1, 'Error from server (NotFound): deployments.apps "web" not found\n')


async def test_server_side_apply(kubectl: Run) -> None:
    """Server-side apply owns its fields, refuses others' and takes them by force."""
    await ok(kubectl, "apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    await ok(kubectl, "scale", "deploy", "web", "--replicas=5")
    code, output = await kubectl("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    assert code == 1
    assert 'Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1' in output
    assert ".spec.replicas" in output
    await ok(kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=DEPLOYMENT)
    assert await ok(kubectl, "get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"


async def test_generators_send_protobuf(kubectl: Run) -> None:
    """The flag forms of create, whose bodies are protobuf."""
    await ok(kubectl, "create", "ns", "foo")
    await ok(kubectl, "create", "cm", "c", "--from-literal=a=b")
    await ok(kubectl, "create", "secret", "generic", "s", "--from-literal=a=b")
    await ok(kubectl, "create", "sa", "me")
    await ok(kubectl, "create", "role", "r", "--verb=get,list", "--resource=pods")
    await ok(kubectl, "create", "rolebinding", "rb", "--role=r", "--serviceaccount=default:me")
    await ok(kubectl, "create", "deployment", "d", "--image=x:1", "--port=80")
    await ok(kubectl, "create", "service", "nodeport", "n", "--tcp=80:8080")
    await ok(kubectl, "expose", "deploy", "d", "--name=e", "--port=80")
    await ok(kubectl, "autoscale", "deploy", "d", "--max=3", "--cpu=50%")
    assert await ok(kubectl, "get", "cm", "c", "-o", "jsonpath={.data.a}") == "b"
    assert await ok(kubectl, "get", "secret", "s", "-o", "jsonpath={.data.a}") == "Yg=="
    assert (await ok(kubectl, "get", "svc", "n", "-o", "jsonpath={.spec.ports[0].nodePort}")).startswith("3")


async def test_custom_resources(kubectl: Run) -> None:
    """A CRD is usable at once: short names, columns, explain, checks, merge patch."""
    await ok(kubectl, "apply", "-f", "-", stdin=CRD)
    await ok(kubectl, "wait", "--for=condition=Established", "crd/things.example.com", "--timeout=5s")
    assert "thing.example.com/t1 created" in await ok(kubectl, "apply", "-f", "-", stdin=THING)
    assert "thing.example.com/t1 configured" in await ok(kubectl, "apply", "-f", "-", stdin=THING.replace("3", "4"))
    table = (await ok(kubectl, "get", "th")).splitlines()
    assert table[0].split() == ["NAME", "SIZE"]
    assert table[1].split() == ["t1", "4"]
    assert "How big it is." in await ok(kubectl, "explain", "thing.spec.size")
    code, output = await kubectl("patch", "thing", "t1", "--type=merge", "-p", '{"spec":{"size":0}}')
    assert code == 1
    assert 'The Thing "t1" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1' in output
    code, output = await kubectl("apply", "-f", "-", stdin=THING.replace("size", "siz"))
    assert code == 1
    assert 'unknown field "spec.siz"' in output
    await ok(kubectl, "delete", "crd", "things.example.com", "--timeout=10s")


async def test_refusals_reach_the_user(kubectl: Run) -> None:
    """kubectl shows Kubernetes' words."""
    code, output = await kubectl("apply", "-f", "-", stdin=DEPLOYMENT.replace("{app: web}}\n    spec", "{app: other}}\n    spec"))
    assert code == 1
    assert "`selector` does not match template `labels`" in output
    code, output = await kubectl("create", "ns", "Foo_Bar")
    assert code == 1
    assert "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'" in output
    code, output = await kubectl("delete", "ns", "default")
    assert (code, output) == (1, 'Error from server (Forbidden): namespaces "default" is forbidden: this namespace may not be deleted\n')


async def test_dry_run_and_diff(kubectl: Run) -> None:
    """A server-side dry run stores nothing, and diff shows what would change."""
    assert "created (server dry run)" in await ok(kubectl, "apply", "--dry-run=server", "-f", "-", stdin=DEPLOYMENT)
    assert "No resources found" in await ok(kubectl, "get", "deploy")
    await ok(kubectl, "apply", "-f", "-", stdin=DEPLOYMENT)
    code, output = await kubectl("diff", "-f", "-", stdin=DEPLOYMENT.replace("web:1", "web:2"))
    assert code == 1
    assert "+      - image: web:2" in output


async def test_read_commands(kubectl: Run) -> None:
    """Commands that only read: discovery, version, explain, describe."""
    await ok(kubectl, "apply", "-f", "-", stdin=DEPLOYMENT)
    assert "deployments" in await ok(kubectl, "api-resources", "--api-group=apps")
    assert "apps/v1" in await ok(kubectl, "api-versions")
    assert "Server Version: v1." in await ok(kubectl, "version")
    assert "maxSurge" in await ok(kubectl, "explain", "deployment.spec.strategy.rollingUpdate")
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in await ok(kubectl, "describe", "deploy", "web")
    assert "deployment.apps/web" in await ok(kubectl, "get", "all")
    assert await ok(kubectl, "get", "--raw", "/healthz") == "ok"
    assert "web" in await ok(kubectl, "get", "deploy", "-A", "-l", "app=web", "--show-labels")
    assert "NAME\nweb" in await ok(kubectl, "get", "deploy", "-o", "custom-columns=NAME:.metadata.name")
