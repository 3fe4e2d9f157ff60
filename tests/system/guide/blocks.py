"""The commands of a lab guide, taken from its text, and a terminal in which they run one after the other as a reader would run them."""

from __future__ import annotations

import os
import pty
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PHASE = re.compile(r"#+ \W*Phase (?P<number>\d+):")
_FENCE = re.compile(r"\s*```(?P<language>\w*)\s*$")
_EDITOR = re.compile(r"^\s*nano (?P<file>\S+)\s*$", re.MULTILINE)
_LOOP = 'while IFS= read -r file <&9; do . "$file"; echo "$?" >&8; done'


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of commands: `name` is phase and number, such as 2.3; `file` and `text` are what the reader types into an editor."""

    name: str
    commands: str
    file: str = ""
    text: str = ""


def extract(guide: str, phases: tuple[int, ...]) -> list[Block]:
    """The shell blocks of these phases, in order; one that opens an editor comes with the YAML or the script that follows."""
    found: list[Block] = []
    phase, count, language, lines, editing = 0, 0, None, [], ""
    for line in guide.splitlines():
        fence = _FENCE.match(line)
        if language is None and fence:
            language, lines = fence["language"], []
        elif language is None:
            if heading := _PHASE.match(line):
                phase, count = int(heading["number"]), 0
        elif not fence:
            lines.append(line)
        else:
            text = "\n".join(lines) + "\n"
            if phase in phases and editing and (language == "yaml" or (language == "bash" and text.startswith("#!"))):
                found[-1] = Block(name=found[-1].name, commands=found[-1].commands, file=editing, text=text)
                editing = ""
            elif language == "bash" and phase in phases:
                count += 1
                editing = opened["file"] if (opened := _EDITOR.search(text)) else ""
                found.append(Block(name=f"{phase}.{count}", commands=text, file=editing))
            language = None
    return found


class Terminal:
    """A shell on a pseudo-terminal: variables, the working folder and background jobs stay from one block to the next."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._commands, commands = os.pipe()[::-1]
        codes, self._codes = os.pipe()
        self._screen, slave = pty.openpty()
        os.set_blocking(self._screen, False)
        command = ["bash", "--norc", "--noprofile", "-c", f"exec 9<&{commands} 8>&{self._codes}; {_LOOP}"]
        self._shell = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=dict(environment), pass_fds=(commands, self._codes), start_new_session=True
        )
        for descriptor in (commands, self._codes, slave):
            os.close(descriptor)
        self._codes = codes
        self._number = 0

    def run(self, commands: str, seconds: float) -> tuple[int, str]:
        """Exit code and what the terminal showed; AssertionError when it takes longer."""
        self._number += 1
        file = self._folder / f".block-{self._number}"
        file.write_text(commands)
        self._read()
        os.write(self._commands, f"{file}\n".encode())
        shown, code, deadline = b"", b"", time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._screen, self._codes):
                selector.register(descriptor, selectors.EVENT_READ)
            while not code:
                ready = [key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))]
                assert ready, f"still running after {seconds} s:\n{commands}\n{shown.decode(errors='replace')}"
                shown += self._read()
                if self._codes in ready:
                    code = os.read(self._codes, 16)
                    shown += self._read()
        return int(code), shown.decode(errors="replace").replace("\r\n", "\n")

    def _read(self) -> bytes:
        shown = b""
        while True:
            try:
                shown += os.read(self._screen, 1 << 16)
            except OSError:
                return shown

    def close(self) -> None:
        """End the shell and what it left in the background."""
        for descriptor in (self._commands, self._codes):
            os.close(descriptor)
        os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        os.close(self._screen)


def lab(folder: Path, istio: Path, files: Path) -> None:
    """The reader's folder: what a download would have made, and copies of the files that the guide has its reader make."""
    release = folder / istio.name
    release.mkdir(parents=True)
    (release / "samples").symlink_to(istio / "samples")
    for file in sorted(files.glob("*")):
        if file.suffix in {".sh", ".yaml"}:
            shutil.copy(file, folder / file.name)
