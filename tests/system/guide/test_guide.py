"""The lab guide, command by command: what its reader types works, in one cluster, from the guide's own text."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.system.clusters import PROGRAMS, Cluster
from tests.system.guide import blocks
from tests.system.guide.blocks import Block, Terminal

SHARED = Path(__file__).parents[4] / "shared"
GUIDE = SHARED / "lab" / "lab-guide.md"
PHASES = (1, 2, 3, 4, 5, 6)
"""Which phases run. Blocks of another one need no more than its number here and their entries in blocks.yaml."""
SECONDS = 60.0
SETTLE_SECONDS = 30.0
BLOCKS = blocks.extract(GUIDE.read_text(), PHASES) if GUIDE.is_file() else []
NOTES: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent / "blocks.yaml").read_text())

pytestmark = pytest.mark.skipif(not BLOCKS, reason="the folder ../shared with the lab guide is absent")


class Reader:
    """Somebody at a terminal with a cluster of its own."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.lab = folder / "lab"
        self.here = self.lab / "istio-1.28.2"
        self.folder = folder
        blocks.lab(self.lab, SHARED / "istio-1.28.2", SHARED / "lab")
        environment = {
            **cluster.environment,
            "HOME": str(folder),
            "PATH": f"{folder}:{PROGRAMS}:{os.environ['PATH']}",
            "TERM": "dumb",
            "NO_COLOR": "1",
            **free_ports(),
        }
        (folder / "pkill").write_text("#!/bin/sh\n# Ends nothing: the lab's script would end processes of others.\nexit 1\n")
        (folder / "pkill").chmod(0o700)
        self.terminal = Terminal(self.lab, environment)

    def follow(self, block: Block, note: Mapping[str, Any]) -> None:
        """Run one block and compare with what is to be seen."""
        if block.file:
            assert block.text, f"no content for {block.file} follows block {block.name}"
            (self.here / block.file).write_text(block.text)
            return
        commands = block.commands
        for text, instead in (note.get("replace") or {}).items():
            assert text in commands, f"{text} is not in block {block.name}"
            commands = commands.replace(text, instead)
        if "limit" in note:
            commands = f"timeout --foreground {note['limit']} {commands}"
        commands += note.get("after", "")
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            code, shown = self.type(commands, float(note.get("seconds", SECONDS)))
            trouble = differences(code, shown, note)
            if not trouble or not note.get("settles") or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        assert not trouble, f"{trouble}\n$ {commands}{shown}"

    def script(self, name: str, seconds: float = 200) -> tuple[int, str]:
        """Exit code and output of one of the lab's scripts."""
        return self.type(f"(cd {self.lab} && bash {name})\n", seconds)

    def type(self, commands: str, seconds: float) -> tuple[int, str]:
        """Exit code of these commands and what they showed, without its colours."""
        code, shown = self.terminal.run(commands, seconds)
        return code, re.sub(r"\x1b\[[0-9;]*m", "", shown)


def free_ports() -> dict[str, str]:
    """Variables with ports of this machine that nothing uses, in place of those that the guide takes."""
    names = ("FREE_PORT", "GRAFANA_PORT", "JAEGER_PORT", "KIALI_PORT", "PROMETHEUS_PORT")
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return {name: str(probe.getsockname()[1]) for name, probe in zip(names, probes, strict=True)}


def differences(code: int, shown: str, note: Mapping[str, Any]) -> list[str]:
    """What is not as the note says; empty when all is."""
    wanted = note.get("exit", 0)
    found = [] if (code != 0 if wanted == "other" else code == wanted) else [f"exit code {code} instead of {wanted}"]
    found += [f"nothing shows {pattern}" for pattern in note.get("shows", ()) if not re.search(pattern, shown, re.MULTILINE)]
    return found + [f"something shows {pattern}" for pattern in note.get("lacks", ()) if re.search(pattern, shown, re.MULTILINE)]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """One reader for the whole guide; its blocks build on each other."""
    cluster = Cluster("guide")
    try:
        cluster.up()
        with tempfile.TemporaryDirectory(prefix="guide-") as folder:
            made = Reader(cluster, Path(folder))
            yield made
            made.terminal.close()
    finally:
        cluster.destroy()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_block(reader: Reader, block: Block) -> None:
    """A block of commands ends as it has to and shows what the guide promises."""
    note = NOTES.get(block.name) or {}
    if "skip" in note:
        pytest.skip(note["skip"])
    reader.follow(block, note)


def test_every_note_belongs_to_a_block() -> None:
    """A note that nothing reads would hide a block that is no longer there."""
    assert {name for name in NOTES if int(name.partition(".")[0]) in PHASES} <= {block.name for block in BLOCKS}


def test_the_lab_s_own_tests(reader: Reader) -> None:
    """All but the two that count a header line."""
    code, shown = reader.script("service-mesh-tests.sh")
    results = dict(re.findall(r"^Test \d+: (.*?)\.\.\. (?:.*\n(?!Test \d))*?.*?(PASSED|FAILED)", shown, re.MULTILINE))
    assert {name for name, result in results.items() if result == "FAILED"} == KNOWN_FAILURES, shown
    assert (len(results), code) == (21, 1), results


KNOWN_FAILURES = {
    "All Bookinfo pods are running",  # counts the header line too: 7
    "Authorization policies exist",  # counts the header line too: 5
}


def test_the_lab_s_diagnosis(reader: Reader) -> None:
    """Runs to its end, and every section has its content."""
    code, shown = reader.script("diagnose-mesh.sh")
    assert code == 0
    for pattern in (
        r"^NAME +READY +CONTAINERS$",
        r"^productpage-v1-\S+ +true,true +productpage,istio-proxy$",
        r"^default +bookinfo +\[\"bookinfo-gateway\"\]",
        r"^default +default +\*\.default\.svc\.cluster\.local",
        r"^default +default +STRICT",
        r"^productpage-v1-\S+\.default +Kubernetes +SYNCED",
        r"^default +Cert Chain +ACTIVE +true",
        r"^details\.default\.svc\.cluster\.local:9080 +OK +STRICT +mTLS",
        r"^\S+ +\S+ +istio-proxy +\d+m +\d+Mi",
        r"^=== Diagnostic Complete ===$",
    ):
        assert re.search(pattern, shown, re.MULTILINE), (pattern, shown)


def test_the_lab_s_cleanup(reader: Reader) -> None:
    """As it is written it stops itself at its first wait (`((count++))` under `set -e`); without that, nothing of the mesh is left."""
    code, shown = reader.script("cleanup-mesh.sh")
    assert code == 1
    assert "✓ Traffic generation stopped" in shown and "Uninstalling" not in shown
    script = (reader.lab / "cleanup-mesh.sh").read_text()
    (reader.lab / "cleanup-mesh.sh").write_text(script.replace("set -e", ""))
    (reader.folder / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 0.2\n")  # it waits two minutes for istiod, which it ends afterwards
    (reader.folder / "sleep").chmod(0o700)
    code, shown = reader.script("cleanup-mesh.sh", 280)
    assert code == 0, shown
    for line in ("✓ istio-system namespace removed", "✓ No application pods found", "✓ Istio CRDs removed"):
        assert line in shown, shown
    cluster = reader.cluster
    assert cluster.kubectl("get", "pods", "-A", "-o", "name").stdout == ""
    assert "istio" not in cluster.kubectl("get", "namespaces,mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles", "-o", "name").stdout
    assert cluster.get("nodes")["items"]
