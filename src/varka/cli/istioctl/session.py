"""How a verb reaches the cluster and its control plane."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from varka.base.errors import VarkaError
from varka.cli.istioctl.main import Globals
from varka.client.api import Object

if TYPE_CHECKING:
    from varka.client.http import HttpApi
    from varka.client.streams import ForwardedConnection

T = TypeVar("T")
DEBUG_PORT, ADMIN_PORT = 15014, 15000
MAX_ANSWER = 256 << 20


class Session:
    """One verb's connection; `namespace` is the one to work in."""

    def __init__(self, api: HttpApi, flags: Globals, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.istio_namespace = flags.istio_namespace

    async def istiod_pods(self) -> list[Object]:
        """The running control-plane pods, by name; empty when none runs."""
        from varka.client import resources

        found = (await self.api.list(resources.PODS, self.istio_namespace, label_selector="app=istiod")).items
        running = [pod for pod in found if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")]
        return sorted(running, key=lambda pod: str(pod["metadata"]["name"]))

    async def istiod_get(self, pod: str, path: str) -> Any:
        """The JSON of a debug path of one control-plane pod."""
        return json.loads(await self.pod_get(self.istio_namespace, pod, DEBUG_PORT, path))

    async def envoy_get(self, namespace: str, pod: str, path: str, method: str = "GET") -> bytes:
        """What a pod's Envoy answers on its admin port."""
        return await self.pod_get(namespace, pod, ADMIN_PORT, path, method)

    async def pod_get(self, namespace: str, pod: str, port: int, path: str, method: str = "GET") -> bytes:
        """A request over a port-forward to a pod's loopback; VarkaError when nothing listens there or it refuses."""
        from varka.client import streams

        forwarder = await streams.forward(self.api, namespace, pod)
        try:
            connection = await forwarder.connect(port)
            await connection.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            received = bytearray()
            while chunk := await _read(connection):
                received += chunk
                if len(received) > MAX_ANSWER:
                    raise VarkaError(f"{pod} answered {path} with more than {MAX_ANSWER >> 20} MiB")
            if not received:
                async with asyncio.timeout(10):
                    reason = await connection.error()
                raise VarkaError(
                    f"port {port} of pod/{namespace}/{pod} does not answer: {reason.strip() or 'closed at once'}", f"see `kubectl logs -n {namespace} {pod}`"
                )
        finally:
            await forwarder.close()
        status, body = response_of(bytes(received))
        if status != 200:
            raise VarkaError(f"port {port} of pod/{namespace}/{pod} answered {status} to {path}: {body.decode(errors='replace').strip()[:500]}")
        return body


async def _read(connection: ForwardedConnection) -> bytes:
    async with asyncio.timeout(60):
        return await connection.read()


def response_of(received: bytes) -> tuple[int, bytes]:
    """Status and body of a whole HTTP/1.1 response."""
    import http.client
    import io

    class Received:
        def makefile(self, *_: object) -> io.BytesIO:
            return io.BytesIO(received)

    response = http.client.HTTPResponse(Received())  # type: ignore[arg-type]
    try:
        response.begin()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise VarkaError(f"the pod's answer is no whole HTTP response: {error!r}", "try again") from error


@asynccontextmanager
async def connect(flags: Globals) -> AsyncIterator[Session]:
    """A session with the cluster that flags and environment name."""
    from varka.client import kubeconfig
    from varka.client.http import HttpApi

    target = kubeconfig.load(path=flags.kubeconfig, context=flags.context, namespace=flags.namespace)
    async with HttpApi(target.connection) as api:
        yield Session(api, flags, target.namespace or "default")


def run(flags: Globals, work: Callable[[Session], Awaitable[T]]) -> T:
    """Do `work` with a session, to its end."""

    async def whole() -> T:
        async with connect(flags) as session:
            return await work(session)

    return asyncio.run(whole())


async def pod_of(session: Session, name: str) -> tuple[str, str]:
    """Namespace and pod of an argument such as `pod`, `pod.namespace`, `deployment/name` or `pod/name`; VarkaError when there is none."""
    from varka.client import resources
    from varka.client.api import ApiError

    kind, _, rest = name.rpartition("/")
    rest = rest or name
    if kind in {"", "pod", "pods", "po"}:
        for pod, namespace in _readings(rest, session.namespace):
            try:
                await session.api.get(resources.PODS, pod, namespace)
                return namespace, pod
            except ApiError as error:
                if error.code != 404:
                    raise
        raise VarkaError(f"pod {rest!r} not found", f"name it as pod.namespace, or add -n; `kubectl get pods -n {session.namespace}` lists what is there")
    plural = {
        "deploy": "deployments",
        "deployment": "deployments",
        "deployments": "deployments",
        "svc": "services",
        "service": "services",
        "services": "services",
    }.get(kind)
    if plural is None:
        raise VarkaError(f"{kind!r} is no kind that leads to a pod", "use pod/NAME, deployment/NAME or service/NAME")
    for owner, namespace in _readings(rest, session.namespace):
        gvr = resources.DEPLOYMENTS if plural == "deployments" else resources.SERVICES
        try:
            found = await session.api.get(gvr, owner, namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            continue
        selector = found["spec"]["selector"].get("matchLabels", found["spec"]["selector"]) if plural == "deployments" else found["spec"].get("selector") or {}
        pods = (await session.api.list(resources.PODS, namespace, label_selector=",".join(f"{key}={value}" for key, value in selector.items()))).items
        if pods:
            return namespace, str(sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))[0]["metadata"]["name"])
        raise VarkaError(f"{name} has no pods", f"see `kubectl describe {name} -n {namespace}`")
    raise VarkaError(f"{name} not found", "check name and namespace")


def _readings(name: str, namespace: str) -> list[tuple[str, str]]:
    """A dot may part pod and namespace, or belong to the name."""
    head, dot, tail = name.rpartition(".")
    return [(head, tail), (name, namespace)] if dot else [(name, namespace)]
