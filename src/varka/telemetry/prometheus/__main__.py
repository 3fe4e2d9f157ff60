"""The program of the image `prom/prometheus`: `python -m varka.telemetry.prometheus PROGRAM [FLAG…]`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from varka.base.errors import VarkaError
from varka.client import kubeconfig
from varka.client.http import HttpApi
from varka.telemetry.prometheus import configuration, following

FLAG = "--config.file"
DEFAULT = "/etc/prometheus/prometheus.yml"
BUILT_IN = b"prometheus/discovery/kubernetes"
LOOK_SECONDS = 0.5


def source_of(flags: list[str]) -> tuple[Path, list[str]]:
    """The configuration that the flags name, and the flags without it."""
    rest: list[str] = []
    source = DEFAULT
    waiting = False
    for flag in flags:
        if waiting:
            source, waiting = flag, False
        elif flag == FLAG:
            waiting = True
        elif flag.startswith(f"{FLAG}="):
            source = flag.partition("=")[2]
        else:
            rest.append(flag)
    return Path(source), rest


class Launcher:
    """One run of the program, with its configuration kept translated."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._source = source
        self._folder = folder
        self._read = ""
        self.config = folder / "prometheus.yml"

    def translate(self) -> tuple[configuration.Discovery, ...] | None:
        """Write the configuration anew when the source has changed; None when it has not. VarkaError when it cannot be used."""
        try:
            text = self._source.read_text()
        except OSError as error:
            raise VarkaError(f"the configuration cannot be read: {error}", f"check {FLAG}") from error
        if text == self._read:
            return None
        self._read = text
        made, wanted = configuration.translated(text, str(self._source.parent), str(self._folder))
        self.config.write_text(made)
        return wanted

    async def follow(self, follower: following.Follower, child: asyncio.subprocess.Process) -> None:
        """Translate every change of the source and have the program read it."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                wanted = self.translate()
            except VarkaError as error:
                print(f"the configuration stays as it was: {error}", file=sys.stderr, flush=True)
                continue
            if wanted is not None:
                follower.want(wanted)
                child.send_signal(signal.SIGHUP)


async def run(program: str, flags: list[str]) -> int:
    """Until the program ends; its exit code."""
    source, rest = source_of(flags)
    with tempfile.TemporaryDirectory(prefix="prometheus-") as name:
        launcher = Launcher(source, Path(name))
        target = kubeconfig.load()
        async with HttpApi(target.connection, user_agent="prometheus") as api:
            follower = following.Follower(api, target.namespace, Path(name))
            follower.want(launcher.translate() or ())
            child = await asyncio.create_subprocess_exec(program, f"{FLAG}={launcher.config}", *rest)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.add_signal_handler(number, child.send_signal, number)
            tasks = [asyncio.create_task(follower.run()), asyncio.create_task(launcher.follow(follower, child))]
            code = await child.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return code


def main() -> None:
    """Start the program itself when it can discover by itself, else look after it."""
    if len(sys.argv) < 2:
        sys.exit("error: no program was named; this is run by the image prom/prometheus")
    program, flags = sys.argv[1], sys.argv[2:]
    if BUILT_IN in Path(program).read_bytes():
        os.execv(program, [program, *flags])
    try:
        code = asyncio.run(run(program, flags))
    except VarkaError as error:
        sys.exit(f"error: {error}")
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
