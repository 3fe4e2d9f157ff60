from __future__ import annotations

import random
from typing import Any

import pytest
from tests.builders.meshobjects import istio, proxy, service, snapshot_of

from varka import resources
from varka.model import views
from varka.model.routing import references
from varka.resources import acting, kinds, shapes
from varka.resources.validation import validate

TEXTS = ("", "a", "web", "*", "*.org", "a/b", "./*", "~/*", "0s", "5x", "1.2.3.4", "10.0.0.0/8", "unix:///x", "999999", "%PREFIX()%", "istio", "HTTP", "{*}/x")
NUMBERS = (0, 1, 80, 443, -1, 70000)


def _random(node: Any, draw: random.Random, depth: int = 0) -> Any:
    """A value of a shape, right in type and wrong in everything else."""
    if isinstance(node, shapes.Scalar):
        if node.values:
            return draw.choice(node.values)
        return {"string": draw.choice(TEXTS), "integer": draw.choice(NUMBERS), "number": 1.5, "boolean": draw.random() < 0.5}[node.type]
    if isinstance(node, shapes.Many):
        return [_random(node.item.node, draw, depth + 1) for _ in range(draw.randint(0, 2))]
    if isinstance(node, shapes.Keyed):
        return {draw.choice(TEXTS): _random(node.item.node, draw, depth + 1) for _ in range(draw.randint(0, 2))}
    if isinstance(node, shapes.Free):
        return {}
    chance = 0.9 if depth < 3 else 0.4
    return {name: _random(field.shape.node, draw, depth + 1) for name, field in node.fields.items() if draw.random() < chance}


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.kind)
def test_nothing_that_a_user_writes_raises(kind: kinds.Kind) -> None:
    """Whatever values a resource has, it is read, judged, built into a snapshot and seen by proxies."""
    draw = random.Random(kind.kind)
    for number in range(15):
        obj = istio(kind.kind, f"r{number}", _random(shapes.record(kind.spec), draw))
        obj["apiVersion"] = f"{kind.group}/{kind.stored}"
        parsed = resources.parse(obj)
        assert parsed.spec is not None, parsed.conditions
        validate(parsed)
        acting.not_acted_on(parsed)
        made = snapshot_of(service("web"), service("gw"), obj)
        references.find(made)
        views.view(made, proxy("web"))
        views.view(made, proxy("gw", kind="router"))
