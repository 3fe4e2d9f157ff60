"""Pruning, defaulting and checking custom resources."""

from __future__ import annotations

from typing import Any

import pytest

from varka.cluster.apiserver.schema import structural, validation
from varka.cluster.apiserver.schema.structural import CrdSchema


def schema(spec: dict[str, Any], **more: Any) -> CrdSchema:
    """A CRD's schema with a spec."""
    return CrdSchema({"type": "object", "properties": {"spec": {"type": "object", "properties": spec, **more}}})


def wrong(known: CrdSchema, spec: Any, old: Any = None) -> list[str]:
    """What is wrong, as texts."""
    causes = validation.validate(known.root, {"spec": spec}, None if old is None else {"spec": old})
    return [f"{cause.field}: {cause.text}" for cause in causes]


def test_prune() -> None:
    """Unknown fields go with their paths told, metadata is left alone, preserved parts stay."""
    known = schema(
        {"a": {"type": "string"}, "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, "l": {"type": "array", "items": {"type": "object"}}}
    )
    unknown: list[str] = []
    given = {"metadata": {"x": 1}, "spec": {"a": "b", "c": 1, "free": {"d": 1}, "l": [{"e": 1}]}, "zz": 1}
    assert structural.prune(known.root, given, "", unknown, top=True) == {"metadata": {"x": 1}, "spec": {"a": "b", "free": {"d": 1}, "l": [{}]}}
    assert unknown == ["spec.c", "spec.l[0].e", "zz"]


def test_defaults() -> None:
    """Defaults fill absent fields of objects that are there, also inside lists and maps."""
    known = schema(
        {
            "mode": {"type": "string", "default": "X"},
            "inner": {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}},
            "made": {"type": "object", "default": {}, "properties": {"n": {"type": "integer", "default": 4}}},
            "items": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
        }
    )
    result = structural.default(known.root, {"spec": {"items": [{}], "mode": None}})
    assert result == {"spec": {"mode": "X", "made": {"n": 4}, "items": [{"p": "TCP"}]}}


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ({"type": "integer"}, "x", 'spec.f: Invalid value: "string": spec.f in body must be of type integer: "string"'),
        ({"type": "string", "enum": ["A", "B"]}, "C", 'spec.f: Unsupported value: "C": supported values: "A", "B"'),
        ({"type": "string", "pattern": "^a+$"}, "b", "spec.f: Invalid value: \"b\": spec.f in body should match '^a+$'"),
        ({"type": "integer", "minimum": 1}, 0, "spec.f: Invalid value: 0: spec.f in body should be greater than or equal to 1"),
        ({"type": "integer", "maximum": 5}, 6, "spec.f: Invalid value: 6: spec.f in body should be less than or equal to 5"),
        ({"type": "string", "minLength": 1}, "", 'spec.f: Invalid value: "": spec.f in body should be at least 1 chars long'),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 1}, ["a", "b"], "spec.f: Too many: 2: must have at most 1 items"),
        ({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}, ["a", "a"], 'spec.f[1]: Duplicate value: "a"'),
        ({"type": "object", "required": ["g"], "properties": {"g": {"type": "string"}}}, {}, "spec.f.g: Required value"),
        ({"type": "string", "format": "date-time"}, "x", 'spec.f: Invalid value: "x": spec.f in body must be of type date-time: "x"'),
    ],
)
def test_limits(field: dict[str, Any], value: Any, text: str) -> None:
    """Every limit is refused with the validator's message."""
    assert wrong(schema({"f": field}), {"f": value}) == [text]


@pytest.mark.parametrize("value", [1, "1"])
def test_int_or_string(value: object) -> None:
    """An int-or-string takes both."""
    assert wrong(schema({"f": {"x-kubernetes-int-or-string": True}}), {"f": value}) == []


def test_one_of() -> None:
    """Exactly one branch of oneOf must hold."""
    branches = [{"required": ["a"]}, {"required": ["b"]}]
    known = schema({"a": {"type": "string"}, "b": {"type": "string"}}, oneOf=branches)
    assert wrong(known, {"a": "x"}) == []
    assert "Found none valid" in wrong(known, {})[0]
    assert "Found 2 valid alternatives" in wrong(known, {"a": "x", "b": "y"})[0]


def rule(text: str, **more: Any) -> list[dict[str, Any]]:
    """A list of one CEL rule."""
    return [{"rule": text, **more}]


def test_cel_rule_with_message() -> None:
    """A broken rule is refused with its message."""
    known = schema({"f": {"type": "string", "x-kubernetes-validations": rule("self.startsWith('a')", message="must begin with a")}})
    assert wrong(known, {"f": "abc"}) == []
    assert wrong(known, {"f": "b"}) == ['spec.f: Invalid value: "b": must begin with a']


def test_cel_without_message_shows_the_rule() -> None:
    """A rule without message is shown itself."""
    known = schema({"a": {"type": "integer"}}, **{"x-kubernetes-validations": rule("self.a > 1")})
    assert wrong(known, {"a": 1}) == ['spec: Invalid value: "object": failed rule: self.a > 1']


def test_cel_transition_rule() -> None:
    """A rule over oldSelf runs on updates only."""
    known = schema({"f": {"type": "string", "x-kubernetes-validations": rule("self == oldSelf", message="is immutable")}})
    assert wrong(known, {"f": "a"}) == []
    assert wrong(known, {"f": "a"}, {"f": "b"}) == ['spec.f: Invalid value: "a": is immutable']


@pytest.mark.parametrize(
    ("text", "value", "passes"),
    [
        ("duration(self) >= duration('1ms')", "5s", True),
        ("isURL(self) && url(self).getScheme() in ['http', 'https']", "http://a/b", True),
        ("isURL(self)", "http://[::1]:80/a?b=%zz", True),
        ("isURL(self)", "oci://registry.example/a/b:v1@sha256:ab", True),
        ("isURL(self)", "/a", True),
        ("isURL(self)", "a/b", False),
        ("isURL(self)", "http://#%blah$#@", False),
        ("isURL(self)", "http://a b/", False),
        ("isURL(self)", "http://a:port/", False),
        ("isURL(self)", "http://a/%zz", False),
        ("url(self).getHostname() == 'b'", "http://a", False),
        ("quantity(self).isGreaterThan(quantity('1Mi'))", "1Gi", True),
        ("self.find('[0-9]+') == '12'", "a12b", True),
        ("self.lowerAscii() == 'ab'", "AB", True),
        ("isIP(self)", "10.0.0.1", True),
        ("isCIDR(self)", "10.0.0.1", False),
    ],
)
def test_cel_functions(text: str, value: str, passes: bool) -> None:
    """Kubernetes' own functions are there."""
    known = schema({"f": {"type": "string", "x-kubernetes-validations": rule(text)}})
    assert (wrong(known, {"f": value}) == []) is passes


def test_cel_reserved_names() -> None:
    """A property whose name is a CEL word is reached by its escaped name."""
    known = schema(
        {"namespace": {"type": "string"}, "a-b": {"type": "integer"}}, **{"x-kubernetes-validations": rule("self.__namespace__ == 'x' && self.a__dash__b == 1")}
    )
    assert wrong(known, {"namespace": "x", "a-b": 1}) == []


def test_broken_rule_is_reported() -> None:
    """A rule that cannot be compiled refuses the object and says so."""
    known = schema({"f": {"type": "string", "x-kubernetes-validations": rule("self +")}})
    assert "compilation failed" in wrong(known, {"f": "a"})[0]
