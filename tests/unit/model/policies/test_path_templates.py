from __future__ import annotations

import pytest

from varka.model.policies import path_templates


@pytest.mark.parametrize(("template", "envoy"), [("/a/{*}", "/a/*"), ("/{**}/b", "/**/b"), ("/{*}/b/{**}", "/*/b/**")])
def test_to_envoy(template: str, envoy: str) -> None:
    """The signs become those of Envoy's matcher."""
    assert path_templates.to_envoy(template) == envoy


@pytest.mark.parametrize("template", ["{*}", "/a{*}", "/{**}/{*}", "/{**}/{**}", "/{*}*", "/{name}/{*}", "/a b/{*}", "/\n/{*}", f"/{'x' * 300}/{{*}}"])
def test_malformed(template: str) -> None:
    """A sign that is no whole segment, `{**}` before another sign, and letters that no path has are refused."""
    with pytest.raises(ValueError, match="path template"):
        path_templates.to_envoy(template)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/a/{*}", "/a/b", True),
        ("/a/{*}", "/a/", False),
        ("/a/{*}", "/a/b/c", False),
        ("/a/{**}", "/a/", True),
        ("/a/{**}", "/a/b/c", True),
        ("/a/{**}", "/a", False),
        ("/{**}/c", "/a/b/c", True),
        ("/a.b/{*}", "/axb/c", False),
    ],
)
def test_matches(template: str, path: str, expected: bool) -> None:
    """`{*}` is one segment with something in it, `{**}` any number of them, and a dot is a dot."""
    assert path_templates.matches(template, path) is expected
