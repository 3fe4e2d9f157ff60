from __future__ import annotations

from typing import Any

from varka.cli import problems
from varka.cli.problems import Problem

SERVICE = {"metadata": {"namespace": "mesh", "name": "istiod"}, "spec": {"selector": {"app": "istiod"}}}


def configuration(policy: str | None = None) -> dict[str, Any]:
    """A webhook that is answered by a service."""
    webhook: dict[str, Any] = {"name": "a.b.c", "clientConfig": {"service": {"namespace": "mesh", "name": "istiod"}}}
    return {"metadata": {"name": "injector"}, "webhooks": [webhook | ({"failurePolicy": policy} if policy else {})]}


def endpoints(*, ready: bool) -> dict[str, Any]:
    """The service's slice."""
    labels = {"kubernetes.io/service-name": "istiod"}
    return {"metadata": {"namespace": "mesh", "name": "istiod-x", "labels": labels}, "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]}


def deployment(replicas: int) -> dict[str, Any]:
    """What the service selects."""
    template = {"metadata": {"labels": {"app": "istiod", "x": "y"}}}
    return {"metadata": {"namespace": "mesh", "name": "istiod"}, "spec": {"replicas": replicas, "template": template}}


def pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    """A pod with these container statuses."""
    return {"metadata": {"namespace": "shop", "name": "web"}, "status": {"containerStatuses": list(containers), **status}}


def test_a_webhook_that_nobody_answers_is_a_problem() -> None:
    """The mend is the deployment's scale when it is nought."""
    what = "service/mesh/istiod has no ready endpoint, so what the webhook injector has to see is refused"
    mend = "kubectl scale deployment istiod -n mesh --replicas=1"
    assert problems.of_webhooks([configuration()], [endpoints(ready=False)], [SERVICE], [deployment(0)]) == [Problem(what=what, mend=mend)]
    assert problems.of_webhooks([configuration("Fail")], [], [SERVICE], [deployment(0)]) == [Problem(what=what, mend=mend)]


def test_other_mends_of_a_silent_webhook() -> None:
    """Pods that are not ready; a configuration that outlived its service."""
    (found,) = problems.of_webhooks([configuration()], [], [SERVICE], [deployment(1)])
    assert found.mend == "kubectl describe pod -n mesh -l app=istiod tells why"
    (found,) = problems.of_webhooks([configuration()], [], [], [])
    assert found.mend == "kubectl delete removes the webhook configuration of what is no longer there"


def test_webhooks_that_answer_or_may_be_passed_over_are_none() -> None:
    """A ready endpoint; failurePolicy Ignore; a URL instead of a service."""
    assert problems.of_webhooks([configuration()], [endpoints(ready=True)], [SERVICE], []) == []
    assert problems.of_webhooks([configuration("Ignore")], [], [SERVICE], []) == []
    by_url = {"metadata": {"name": "u"}, "webhooks": [{"clientConfig": {"url": "https://x"}}]}
    assert problems.of_webhooks([by_url], [], [], []) == []


def test_containers_that_wait_for_something_that_stays() -> None:
    """With the reason's own message, and its mend."""
    waiting = {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}
    (found,) = problems.of_pods([pod({"name": "ok", "state": {"running": {}}}, waiting)])
    assert found == Problem(what="pod/shop/web, container app: CrashLoopBackOff: back-off 10s", mend="kubectl logs --previous tells why it ends")
    assert problems.of_pods([pod({"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}})]) == []


def test_a_failed_pod() -> None:
    """With its reason."""
    (found,) = problems.of_pods([pod(phase="Failed", reason="Evicted")])
    assert found.what == "pod/shop/web has failed: Evicted"
