"""The tables of the documents say what the code does, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from varka.control.injection import pod_annotations
from varka.model import mesh_fields, mesh_settings

ROOT = Path(__file__).parents[3]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("samples/**/*.md")]


def rows(text: str) -> dict[str, str]:
    """The names in code type of a table's first column → what the second says."""
    found = {}
    for first, second in re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE):
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", first), second)
    return found


def silent(found: dict[str, str]) -> set[str]:
    """The names that are said to have no effect."""
    return {name for name, effect in found.items() if effect.startswith("none")}


def top(names: dict[str, str]) -> dict[str, str]:
    """Names without what follows their first dot."""
    return {name.partition(".")[0]: effect for name, effect in names.items()}


def test_every_field_of_the_mesh_configuration_is_told() -> None:
    """With and without effect, and nothing that the code does not know."""
    mesh, _, proxy = (ROOT / "docs/mesh-config.md").read_text().partition("\n## ")
    assert silent(rows(mesh)) == set(mesh_fields.MESH)
    assert set(top(rows(mesh))) == set(mesh_fields.MESH) | mesh_settings.EFFECTIVE
    assert silent(rows(proxy)) == set(mesh_fields.PROXY)
    assert set(top(rows(proxy))) == set(mesh_fields.PROXY) | mesh_fields.PROXY_EFFECTIVE


def test_annotations_without_effect_are_told() -> None:
    """Shortened names continue the one before them."""
    pods = (ROOT / "docs/annotations.md").read_text().partition("\n## Services")[0]
    told = silent(rows(pods))
    for name in pod_annotations.NO_EFFECT:
        group, _, key = name.partition("/")
        assert name in told or f"{group}/…" in told or any(key.endswith(one.removeprefix("…")) for one in told if one.startswith("…")), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    """Those that name no other site."""
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", document.read_text()) if "://" not in link]
    assert [link for link in links if link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_that_are_named_exist(document: Path) -> None:
    """Paths below docs/ in running text."""
    named = re.findall(r"docs/[\w/.-]+\.md", document.read_text())
    assert [path for path in named if not (ROOT / path).exists() and "NNNN" not in path] == []
