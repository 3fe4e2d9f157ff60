"""Which container of a pod a streaming request means, and whether it has a log yet."""

from __future__ import annotations

from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.podruntime import PodRuntime
from varka.cluster.apiserver.request import ServerContext

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def runtime_of(context: ServerContext) -> PodRuntime:
    """The pod runtime; ApiError 503 when the server runs without one."""
    if context.runtime is None:
        raise ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request: no pod runtime is connected")
    return context.runtime


def flag(query: str | None) -> bool:
    """A boolean query parameter."""
    return (query or "").lower() in ("1", "t", "true")


def choose(pod: Object, asked: str) -> str:
    """The container that is asked for, or the pod's default one; ApiError 400 when there is none or it cannot be told."""
    name = pod["metadata"]["name"]
    spec = pod.get("spec") or {}
    normal = [container["name"] for container in spec.get("containers") or ()]
    initial = [container["name"] for container in spec.get("initContainers") or ()]
    ephemeral = [container["name"] for container in spec.get("ephemeralContainers") or ()]
    if asked:
        if asked not in (*normal, *initial, *ephemeral):
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    preferred = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER, "")
    if preferred in normal:
        return str(preferred)
    if len(normal) == 1:
        return str(normal[0])
    text = f"a container name must be specified for pod {name}"
    if normal:
        text += f", choose one of: [{' '.join(normal)}]"
    if initial:
        text += f" or one of the init containers: [{' '.join(initial)}]"
    if ephemeral:
        text += f" or one of the ephemeral containers: [{' '.join(ephemeral)}]"
    raise errors.bad_request(text)


def check_running(pod: Object) -> None:
    """ApiError 400 when the pod is over."""
    phase = (pod.get("status") or {}).get("phase", "")
    if phase in ("Succeeded", "Failed"):
        raise errors.bad_request(f"cannot exec into a container in a completed pod; current phase is {phase}")


def check_log(pod: Object, container: str, *, previous: bool) -> None:
    """ApiError 400, in the kubelet's words, when the container has written no log that could be shown."""
    name = pod["metadata"]["name"]
    status = _status(pod, container)
    if status is None:
        if previous:
            raise errors.bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        raise errors.bad_request(f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating')
    state = status.get("state") or {}
    last = (status.get("lastState") or {}).get("terminated")
    if previous:
        if last is None:
            raise errors.bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return
    if last is not None or any(state.get(name) is not None for name in ("running", "terminated")):
        return
    reason = (state.get("waiting") or {}).get("reason", "")
    if reason == "ErrImagePull":
        text = "is waiting to start: image can't be pulled"
    elif reason == "ImagePullBackOff":
        text = "is waiting to start: trying and failing to pull image"
    else:
        text = f"is waiting to start: {reason}" if reason else "is waiting to start - no logs yet"
    raise errors.bad_request(f'container "{container}" in pod "{name}" {text}')


def _status(pod: Object, container: str) -> Object | None:
    status = pod.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for each in status.get(field) or ():
            if each.get("name") == container:
                found: Object = each
                return found
    return None
