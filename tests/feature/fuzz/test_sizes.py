"""Resources that are too large, too many or too clever, each with a defined outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.builders import mesh_server
from tests.builders.meshobjects import istio, pod, proxy, service, snapshot_of

from varka import resources
from varka.client.api import ApiError, Gvr
from varka.control import validation
from varka.control.reporting.statuses import Known, of
from varka.envoy import generate
from varka.model import views

POLICIES = Gvr("security.istio.io", "v1", "authorizationpolicies")
VIRTUAL_SERVICES = Gvr("networking.istio.io", "v1", "virtualservices")


def _config(*objects: dict[str, Any]) -> Any:
    return generate.generate(views.view(snapshot_of(service("web"), pod("web", "10.0.0.1"), *objects), proxy("web", "10.0.0.1")))


def _policy(rules: int, paths: int = 1) -> dict[str, Any]:
    made = [{"to": [{"operation": {"paths": [f"/{number}/{path}" for path in range(paths)]}}]} for number in range(rules)]
    return istio("AuthorizationPolicy", "p", {"action": "DENY", "rules": made})


def test_five_hundred_rules() -> None:
    """A policy of as many rules as the schema allows becomes as many entries."""
    body = b"".join(item.body for item in _config(_policy(500)).listeners.values())
    assert body.count(b"ns[default]-policy[p]-rule[499]") > 0


async def test_a_mebibyte_and_more(tmp_path: Path) -> None:
    """A resource of a mebibyte is stored, one of more than three is refused with the reason, and 513 rules are more than the schema allows."""
    async with mesh_server.serving(tmp_path) as cluster:
        large = _policy(100, 1000)
        assert 1 << 20 < len(str(large)) < 3 << 20
        await cluster.api.create(POLICIES, large, "default")
        code, _, err = await cluster.run("create", "-f", "-", stdin=str(_policy(300, 1500)).replace("'", '"').encode())
        assert code == 1 and "too large" in err.lower()
        with pytest.raises(ApiError) as caught:
            await cluster.api.create(POLICIES, {**_policy(513), "metadata": {"name": "q", "namespace": "default"}}, "default")
        assert caught.value.code == 422


@pytest.mark.parametrize("expression", ["(a+)+$", "(.*a){50}", "[", "(?=x)", "\\1", "a{1,5000}", "x" * 5000])
def test_expressions(expression: str) -> None:
    """An expression that Envoy's engine cannot run is refused at admission, and takes nothing down where it was stored all the same."""
    rules = [{"match": [{"uri": {"regex": expression}}], "route": [{"destination": {"host": "web"}}]}, {"route": [{"destination": {"host": "web"}}]}]
    obj = istio("VirtualService", "v", {"hosts": ["web"], "http": rules})
    validation.problems(obj)
    assert _config(obj).routes


def test_delegates_in_a_circle() -> None:
    """They lead nowhere: each is a mistake of its own, and the rest of the rules goes on."""
    first = istio("VirtualService", "a", {"hosts": ["web"], "http": [{"delegate": {"name": "b"}}, {"route": [{"destination": {"host": "web"}}]}]})
    second = istio("VirtualService", "b", {"http": [{"delegate": {"name": "c"}}]})
    third = istio("VirtualService", "c", {"http": [{"delegate": {"name": "b"}}]})
    assert _config(first, second, third).routes
    assert [text for text in validation.problems(second) if "delegate" in text] != []


@pytest.mark.parametrize("host", ["münchen.de", "日本", "a b", "x" * 300, "a..b", "\u0000"])
def test_hosts_beyond_ascii(host: str) -> None:
    """They are refused at admission, and change no other host's routes where they were stored all the same."""
    obj = istio("VirtualService", "v", {"hosts": [host], "http": [{"route": [{"destination": {"host": "web"}}]}]})
    assert [text for text in validation.problems(obj) if not text.startswith("warning")] != []
    assert resources.parse(obj).spec is not None
    status = of(Known(found=tuple(validation.findings(obj))), None, "2026-01-01T00:00:00Z")
    assert status is not None and status["conditions"][0]["type"] == "Accepted"
