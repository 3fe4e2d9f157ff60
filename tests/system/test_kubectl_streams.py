"""The real kubectl against the streaming handlers: exec, cp, logs, port-forward."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.builders import streamserver
from tests.fakes.podruntime import ProcessPodRuntime

from varka.client.api import ApiError

pytestmark = pytest.mark.system
KUBECTL = str(Path(sys.executable).parent / "kubectl")
if not Path(KUBECTL).exists():
    KUBECTL = shutil.which("kubectl") or "kubectl"


class Kubectl:
    """Runs kubectl against one server."""

    def __init__(self, client: Any, folder: Path) -> None:
        url = str(client.make_url("")).rstrip("/")
        self._command = (KUBECTL, f"--server={url}", "--kubeconfig=/dev/null", f"--cache-dir={folder / 'cache'}", "--namespace=shop")

    async def start(self, *args: str, stdin: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        """A running kubectl."""
        return await asyncio.create_subprocess_exec(*self._command, *args, stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)

    async def __call__(self, *args: str, stdin: bytes | None = None) -> tuple[int | None, str, str]:
        process = await self.start(*args, stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE)
        async with asyncio.timeout(20):
            out, err = await process.communicate(stdin)
        return process.returncode, out.decode(errors="replace"), err.decode()


async def test_exec(tmp_path: Path) -> None:
    """Output, error output, exit code and standard input of a command, small and large."""
    runtime = ProcessPodRuntime(str(tmp_path))
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        kubectl = Kubectl(client, tmp_path)
        assert await kubectl("exec", "web-1", "-c", "app", "--", "echo", "hi") == (0, "hi\n", "")
        code, _, err = await kubectl("exec", "web-1", "--", "sh", "-c", "echo err >&2; exit 7")
        assert code == 7
        assert err == 'Defaulted container "app" out of: app, istio-proxy, istio-init (init)\nerr\ncommand terminated with exit code 7\n'
        assert await kubectl("exec", "-i", "web-1", "-c", "app", "--", "wc", "-c", stdin=b"x" * 3_000_000) == (0, "3000000\n", "")
        code, out, _ = await kubectl("exec", "web-1", "-c", "app", "--", "head", "-c", "3000000", "/dev/zero")
        assert (code, len(out)) == (0, 3_000_000)
        runtime.failure = ApiError(404, "NotFound", 'container not found ("app")')
        code, _, err = await kubectl("exec", "web-1", "-c", "app", "--", "true")
        assert (code, err) == (1, 'error: Internal error occurred: unable to upgrade connection: container not found ("app")\n')


async def test_cp(tmp_path: Path) -> None:
    """Files go in and come out unchanged."""
    inside = tmp_path / "pod"
    inside.mkdir()
    (tmp_path / "there").write_bytes(os.urandom(300_000))
    async with streamserver.serving(ProcessPodRuntime(str(inside)), streamserver.pod()) as client:
        kubectl = Kubectl(client, tmp_path)
        assert (await kubectl("cp", str(tmp_path / "there"), "web-1:file", "-c", "app"))[0] == 0
        assert (inside / "file").read_bytes() == (tmp_path / "there").read_bytes()
        assert (await kubectl("cp", "web-1:file", str(tmp_path / "back"), "-c", "app"))[0] == 0
        assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


async def test_logs(tmp_path: Path) -> None:
    """Logs, and the refusal when there is no earlier one."""
    runtime = ProcessPodRuntime(str(tmp_path))
    runtime.log = [b"one\n", b"two\n"]
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        kubectl = Kubectl(client, tmp_path)
        assert await kubectl("logs", "web-1", "-c", "app", "--tail=2") == (0, "one\ntwo\n", "")
        assert await kubectl("logs", "-f", "web-1", "-c", "app") == (0, "one\ntwo\n", "")
        text = 'Error from server (BadRequest): previous terminated container "app" in pod "web-1" not found\n'
        assert await kubectl("logs", "web-1", "-c", "app", "-p") == (1, "", text)


async def test_port_forward(tmp_path: Path) -> None:
    """Several large connections at once through one forwarded port."""
    runtime = ProcessPodRuntime(str(tmp_path))

    async def backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read())[::-1])
        await writer.drain()
        writer.close()

    async def exchange(port: int, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    server = await asyncio.start_server(backwards, "127.0.0.1", 0)
    async with server, streamserver.serving(runtime, streamserver.pod()) as client:
        runtime.ports[80] = server.sockets[0].getsockname()[1]
        process = await Kubectl(client, tmp_path).start("port-forward", "pod/web-1", ":80")
        try:
            assert process.stdout is not None
            async with asyncio.timeout(20):
                line = (await process.stdout.readline()).decode()
                port = int(line.removeprefix("Forwarding from 127.0.0.1:").split(" ")[0])
                data = os.urandom(1_000_000)
                answers = await asyncio.gather(*(exchange(port, data) for _ in range(4)))
            assert all(answer == data[::-1] for answer in answers)
        finally:
            process.terminate()
            await process.wait()
