"""What is wrong in a cluster and does not go away by itself, each with its mend. Pure: from objects of the API to problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_MENDS = {
    "ErrImagePull": "varka image add NAME -- COMMAND… makes the image known",
    "ImagePullBackOff": "varka image add NAME -- COMMAND… makes the image known",
    "CrashLoopBackOff": "kubectl logs --previous tells why it ends",
    "CreateContainerConfigError": "kubectl describe pod names the ConfigMap or Secret that is missing",
    "RunContainerError": "kubectl describe pod names the command that cannot be started",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong, and what to do about it."""

    what: str
    mend: str


def of_pods(pods: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """One for each pod that has failed, or has a container that waits for a reason that stays."""
    return [problem for pod in pods if (problem := _of_pod(pod)) is not None]


def _of_pod(pod: Mapping[str, Any]) -> Problem | None:
    meta, status = pod["metadata"], pod.get("status", {})
    name = f"pod/{meta['namespace']}/{meta['name']}"
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _MENDS:
            detail = waiting.get("message", "")
            return Problem(what=f"{name}, container {container['name']}: {reason}{': ' + detail if detail else ''}", mend=_MENDS[reason])
    if status.get("phase") == "Failed":
        return Problem(
            what=f"{name} has failed: {status.get('reason') or status.get('message') or 'a container ended with an error'}",
            mend="kubectl logs tells why; kubectl delete removes it",
        )
    return None


def of_webhooks(
    configurations: Iterable[Mapping[str, Any]],
    slices: Iterable[Mapping[str, Any]],
    services: Iterable[Mapping[str, Any]],
    deployments: Iterable[Mapping[str, Any]],
) -> list[Problem]:
    """Webhooks that have to be asked while nobody is there to answer: what they are for is refused until somebody is."""
    answering = {
        (one["metadata"]["namespace"], one["metadata"].get("labels", {}).get("kubernetes.io/service-name", ""))
        for one in slices
        if any((endpoint.get("conditions") or {}).get("ready", True) for endpoint in one.get("endpoints") or [])
    }
    waiting: dict[tuple[str, str], set[str]] = {}
    for configuration in configurations:
        for webhook in configuration.get("webhooks") or []:
            service = (webhook.get("clientConfig") or {}).get("service")
            if service and webhook.get("failurePolicy", "Fail") == "Fail" and (service["namespace"], service["name"]) not in answering:
                waiting.setdefault((service["namespace"], service["name"]), set()).add(configuration["metadata"]["name"])
    known = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in services}
    return [
        Problem(
            what=f"service/{namespace}/{name} has no ready endpoint, so what the webhook {', '.join(sorted(names))} has to see is refused",
            mend=_mend_of_service(namespace, known.get((namespace, name)), deployments),
        )
        for (namespace, name), names in sorted(waiting.items())
    ]


def _mend_of_service(namespace: str, service: Mapping[str, Any] | None, deployments: Iterable[Mapping[str, Any]]) -> str:
    if service is None:
        return "kubectl delete removes the webhook configuration of what is no longer there"
    selector = (service.get("spec") or {}).get("selector") or {}
    for deployment in deployments:
        labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
        if deployment["metadata"]["namespace"] == namespace and selector.items() <= labels.items() and deployment["spec"].get("replicas") == 0:
            return f"kubectl scale deployment {deployment['metadata']['name']} -n {namespace} --replicas=1"
    chosen = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return f"kubectl describe pod -n {namespace} -l {chosen} tells why"
