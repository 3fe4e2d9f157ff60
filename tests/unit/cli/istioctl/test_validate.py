from __future__ import annotations

from pathlib import Path

import pytest

from varka.cli.istioctl import main

GOOD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: a}\nspec: {hosts: [x.y], http: [{route: [{destination: {host: w}}]}]}\n"


@pytest.mark.parametrize(
    ("text", "code", "out", "err"),
    [
        (GOOD, 0, '"{}" is valid\n', ""),
        (GOOD.replace("{host: w}", "{host: ''}"), 1, "", "Error: 2 errors occurred:\n\t* VirtualService/a/v: spec.http[0].route[0].destination.host: "),
        (GOOD.replace("http: [", "http: [{route: [{destination: {host: w}}]}, "), 0, '"{}" is valid\n', "Warning: VirtualService/a/v: spec.http[1]: "),
        ("kind: x\n", 1, "", "Error: {} has a document without apiVersion and kind at line 1"),
    ],
)
def test_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, out: str, err: str) -> None:
    """Errors and warnings name resource and field; the exit code is 1 for errors."""
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert main.run(["validate", "-f", str(path)]) == code
    shown = capsys.readouterr()
    assert shown.out == out.format(path)
    assert shown.err.startswith(err.format(path))


def test_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to do, and the error says what to do."""
    assert main.run(["validate"]) == 1
    assert capsys.readouterr().err == "Error: no file was given; name one with -f\n"
