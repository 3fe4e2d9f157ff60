"""Defaults of builtin kinds."""

from __future__ import annotations

from typing import Any

import pytest

from varka.cluster.apiserver.kinds import defaults


def filled(key: str, **obj: Any) -> dict[str, Any]:
    """An object after defaulting."""
    given = {"metadata": {"name": "x"}, **obj}
    defaults.fill(key, given)
    return given


def test_namespace() -> None:
    """A namespace carries its name as label, a finalizer and a phase."""
    obj = filled("namespaces")
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert (obj["spec"], obj["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})


def test_recreate_has_no_rolling_update() -> None:
    """Only a rolling update has limits."""
    assert filled("deployments.apps", spec={"strategy": {"type": "Recreate"}})["spec"]["strategy"] == {"type": "Recreate"}


def test_webhooks() -> None:
    """A webhook fails closed, sees everything and has ten seconds."""
    hook = filled("mutatingwebhookconfigurations.admissionregistration.k8s.io", webhooks=[{"clientConfig": {"service": {}}, "rules": [{}]}])["webhooks"][0]
    assert (hook["failurePolicy"], hook["matchPolicy"], hook["timeoutSeconds"], hook["reinvocationPolicy"]) == ("Fail", "Equivalent", 10, "Never")
    assert (hook["clientConfig"]["service"]["port"], hook["rules"][0]["scope"]) == (443, "*")


@pytest.mark.parametrize(
    ("image", "policy"), [("x", "Always"), ("x:latest", "Always"), ("x:1", "IfNotPresent"), ("h:5000/x", "Always"), ("x@sha256:0", "IfNotPresent")]
)
def test_pull_policy(image: str, policy: str) -> None:
    """The pull policy follows the tag."""
    one: dict[str, Any] = {"name": "a", "image": image}
    defaults.container(one)
    assert one["imagePullPolicy"] == policy


def test_job() -> None:
    """A Job runs once unless told otherwise."""
    spec = filled("jobs.batch", spec={"template": {"spec": {}}})["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"], spec["completionMode"]) == (1, 1, 6, "NonIndexed")


@pytest.mark.parametrize("key", sorted(defaults.DEFAULTERS))
def test_defaulting_twice_changes_nothing(key: str) -> None:
    """Defaults are stable."""
    once = filled(key)
    again = filled(key, **{name: value for name, value in once.items() if name != "metadata"})
    assert {name: value for name, value in once.items() if name != "metadata"} == {name: value for name, value in again.items() if name != "metadata"}
