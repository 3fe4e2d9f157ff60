from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders.meshobjects import istio

import varka
from varka.resources import acting, kinds, parse, shapes
from varka.resources.gateway_api.kinds import KINDS as GATEWAY_API


def test_a_field_without_effect_is_told() -> None:
    """A field that nothing acts on gives a condition with its place; its neighbours do not."""
    spec = {"servers": [{"hosts": ["*"]}, {"hosts": ["*"], "defaultEndpoint": "127.0.0.1:80", "bind": "127.0.0.1"}]}
    found = acting.not_acted_on(parse(istio("Gateway", "g", spec)))
    assert [item.text for item in found] == ["spec.servers[1].defaultEndpoint: accepted, but defaultEndpoint is not acted on yet"]


def test_a_value_without_effect_is_told() -> None:
    """Where only one value of a field has no effect, only that is told."""
    entry = {"hosts": ["a.b"], "ports": [{"number": 80, "name": "http"}]}
    found = acting.not_acted_on(parse(istio("ServiceEntry", "a", {**entry, "resolution": "DYNAMIC_DNS"})))
    assert [item.message for item in found] == ["accepted, but resolution DYNAMIC_DNS is not acted on yet"]
    assert acting.not_acted_on(parse(istio("ServiceEntry", "a", {**entry, "resolution": "DNS"}))) == ()


def test_a_whole_kind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that nothing acts on says so of the resource as a whole."""
    monkeypatch.setattr(acting, "NOT_ACTED_ON", {"WasmPlugin": ("",)})
    found = acting.not_acted_on(parse(istio("WasmPlugin", "w", {"url": "oci://a/b"})))
    assert [(item.path, item.message) for item in found] == [("", "accepted, but WasmPlugin is not acted on yet")]


def test_every_path_of_the_table_exists() -> None:
    """The table names fields of the typed classes only."""
    for kind in kinds.KINDS:
        for pattern in acting.NOT_ACTED_ON.get(kind.kind, ()):
            node: object = shapes.record(kind.spec)
            for step in filter(None, pattern.partition("=")[0].split(".")):
                if step == "*":
                    assert isinstance(node, shapes.Many | shapes.Keyed), pattern
                    node = node.item.node
                else:
                    assert isinstance(node, shapes.Record), pattern
                    node = node.fields[step].shape.node


def test_what_envoy_cannot_do_is_told_with_a_way_out() -> None:
    """Faults that Envoy does not have are told for what they are, with the field to write instead."""
    rule = {"route": [{"destination": {"host": "web"}}], "fault": {"delay": {"exponentialDelay": "1s"}}}
    found = acting.not_acted_on(parse(istio("VirtualService", "v", {"hosts": ["web"], "http": [rule]})))
    assert [item.text for item in found] == ["spec.http[0].fault.delay.exponentialDelay: has no effect: Envoy injects fixed delays only; use fixedDelay"]


REFUSED = {"HTTPRoute.rules.*.filters.*.extensionRef"}
"""Fields of the Gateway API that its own conditions tell of, by the type beside them."""


def words() -> set[str]:
    """Every attribute and every text in the code of the stages after `resources`."""
    root = Path(varka.__file__).parent
    nodes = (node for path in root.rglob("*.py") if path.relative_to(root).parts[0] != "resources" for node in ast.walk(ast.parse(path.read_text())))
    return {str(node.attr if isinstance(node, ast.Attribute) else node.value) for node in nodes if isinstance(node, ast.Attribute | ast.Constant)}


def fields(shape: shapes.Shape, path: str, seen: set[type]) -> Iterator[tuple[str, str]]:
    """Path in YAML and attribute of everything below a shape, each class once."""
    node = shape.node
    if isinstance(node, shapes.Many | shapes.Keyed):
        yield from fields(node.item, f"{path}.*", seen)
    elif isinstance(node, shapes.Record) and node.type not in seen:
        seen.add(node.type)
        for name, field in node.fields.items():
            yield f"{path}.{name}", field.attribute
            yield from fields(field.shape, f"{path}.{name}", seen)


def test_every_field_is_read_by_some_stage_or_told() -> None:
    """A field of the API that no code mentions must be in the table, or in that of what the Gateway API refuses."""
    known, seen = words(), set[type]()
    unread = {path for kind in (*kinds.KINDS, *GATEWAY_API) for path, attribute in fields(shapes.of(kind.spec), kind.kind, seen) if attribute not in known}
    told = {f"{kind}.{pattern}" for kind, patterns in acting.NOT_ACTED_ON.items() for pattern in patterns}
    assert {path for path in unread if not any(path == one or path.startswith(f"{one}.") for one in told | REFUSED)} == set()
    assert unread >= REFUSED
