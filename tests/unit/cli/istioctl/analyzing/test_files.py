from __future__ import annotations

import io
from pathlib import Path

import pytest

from varka.base.errors import VarkaError
from varka.cli.istioctl.analyzing import files

TEXT = """# first
apiVersion: v1
kind: Service
metadata:
  name: a
  annotations:
    istio.io/x.y: "1"
spec:
  ports:
    - port: 80
    - name: web
      port: 81
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Pod
    metadata: {name: b}
"""


def _located(text: str) -> list[files.Located]:
    return list(files.unfolded_parts(one for one in files.parts(text, "a.yaml") if isinstance(one, files.Located)))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 2),
        ("metadata.name", 5),
        ("metadata.annotations[istio.io/x.y]", 7),
        ("spec.ports[1].port", 12),
        ("spec.ports[1].targetPort", 11),
        ("spec.ports[7].port", 9),
        ("nothing.here", 2),
    ],
)
def test_line_of_a_field(path: str, line: int) -> None:
    """The line of the field itself, or of the deepest part of its path that is there."""
    assert _located(TEXT)[0].line(path) == line


def test_items_of_a_list_have_lines_of_their_own() -> None:
    """A List counts as its items; lines go on over documents."""
    found = _located(TEXT)
    assert [(one.obj["kind"], one.line(), one.line("metadata.name")) for one in found] == [("Service", 2, 5), ("Pod", 17, 19)]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("a: [", "a.yaml is no YAML: did not find expected node content, line 6, column 1"),
        ("- a", "a.yaml has a document without apiVersion and kind at line 5"),
        ("kind: Pod", "a.yaml has a document without apiVersion and kind at line 5"),
        ("{apiVersion: v1, kind: 1}", "a.yaml has a document without apiVersion and kind at line 5"),
    ],
)
def test_a_broken_document_does_not_spoil_the_others(broken: str, said: str) -> None:
    """Each document is read by itself; what is wrong has its line."""
    pod = "apiVersion: v1\nkind: Pod\n"
    found = list(files.parts(f"{pod}#\n---\n{broken}\n---\n{pod}", "a.yaml"))
    assert [one.message if isinstance(one, VarkaError) else one.line() for one in found] == [1, said, 7]
    with pytest.raises(VarkaError) as caught:
        files.documents(f"{pod}#\n---\n{broken}\n---\n{pod}", "a.yaml")
    assert caught.value.message == said


def test_times_stay_text() -> None:
    """What is printed again must be what was read."""
    assert files.documents("apiVersion: v1\nkind: Pod\nwhen: 2026-01-01T00:00:00Z\n", "x")[0]["when"] == "2026-01-01T00:00:00Z"


def test_empty_documents_are_none() -> None:
    """Comments and separators make no objects."""
    assert files.documents("# nothing\n---\n---\n# here\n", "x") == []


def test_folders(tmp_path: Path) -> None:
    """A folder stands for the manifests in it, and with `recursive` for those below; other files are named."""
    (tmp_path / "sub").mkdir()
    for name in ("b.yaml", "a.json", "readme.md", "sub/c.yml"):
        (tmp_path / name).write_text("{}")
    assert files.paths([str(tmp_path)]) == ([str(tmp_path / "a.json"), str(tmp_path / "b.yaml")], [str(tmp_path / "readme.md")])
    assert files.paths([str(tmp_path)], recursive=True)[0][-1] == str(tmp_path / "sub" / "c.yml")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is what comes in."""
    monkeypatch.setattr("sys.stdin", io.StringIO("text"))
    assert files.texts(["-"]) == [("-", "text")]


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """The error names it and says what to do."""
    with pytest.raises(VarkaError) as caught:
        files.texts([str(tmp_path / "none.yaml")])
    assert "none.yaml cannot be read" in caught.value.message
    assert caught.value.hint == "name a file with Kubernetes resources, or - for standard input"
