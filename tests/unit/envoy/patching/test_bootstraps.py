"""What EnvoyFilters add to the bootstrap."""

from __future__ import annotations

import json
from typing import Any

from tests.builders import extending, views
from tests.builders.extending import envoy_filter, patch

from varka.envoy.patching import bootstraps


def added(*patches: Any, router: bool = False) -> Any:
    """What these patches add for a sidecar or a gateway."""
    text = bootstraps.addition(extending.of(views.sidecar(), [envoy_filter(*patches)]).patches, router)
    return json.loads(text) if text else {}


def test_patches_are_merged() -> None:
    """Lists grow, messages are joined; gateways get their own."""
    first = patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "1s", "static_resources": {"clusters": [{"name": "a"}]}}, {"context": "SIDECAR_OUTBOUND"})
    second = patch("BOOTSTRAP", "MERGE", {"static_resources": {"clusters": [{"name": "b"}]}})
    third = patch("BOOTSTRAP", "MERGE", {"stats_flush_interval": "7s"}, {"context": "GATEWAY"})
    assert added(first, second, third) == {"stats_flush_interval": "1s", "static_resources": {"clusters": [{"name": "a"}, {"name": "b"}]}}
    assert added(first, second, third, router=True) == {"stats_flush_interval": "7s", "static_resources": {"clusters": [{"name": "b"}]}}


def test_nothing_for_others() -> None:
    """Patches of other places add nothing."""
    assert added(patch("CLUSTER", "ADD", {"name": "a"})) == {}
