"""The stand-ins, run as containers run them."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from varka.cluster.runtime.programs import fallbacks, gnu_time

HERE = Path(fallbacks.__file__).parent


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Redirects from /old, 404 at /missing, otherwise what was asked."""
        if self.path == "/old":
            self.answer(302, b"", ("Location", "/new"))
        elif self.path == "/missing":
            self.answer(404, b"no such page\n")
        else:
            self.answer(200, f"{self.command} {self.path} {self.headers.get('X-Test', '-')}\n".encode())

    def do_POST(self) -> None:
        """The body comes back."""
        self.answer(200, self.rfile.read(int(self.headers["Content-Length"])))

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        """A whole response."""
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Its URL."""
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of the programs."""
    return subprocess.run([sys.executable, "-I", "-S", str(HERE / program), *arguments], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["-s", "{}/a"], "GET /a -\n"),
        (["-s", "-H", "X-Test: 7", "{}/a"], "GET /a 7\n"),
        (["-s", "-d", "a=1", "-d", "b=2", "{}/a"], "a=1&b=2"),
        (["-sL", "{}/old"], "GET /new -\n"),
        (["-s", "-o", "/dev/null", "-w", "%{http_code} %{num_redirects}\\n", "{}/missing"], "404 0\n"),
        (["-sSf", "{}/missing"], ""),
    ],
)
def test_curl(server: str, arguments: list[str], output: str) -> None:
    """Bodies, headers, redirects and --write-out."""
    assert run("curl.py", *(part.replace("{}", server) for part in arguments)).stdout == output


def test_curl_shows_headers(server: str) -> None:
    """-I asks for the headers only."""
    lines = run("curl.py", "-sI", f"{server}/a").stdout.splitlines()
    assert (lines[0], "Content-Length: 10" in lines, lines[-1]) == ("HTTP/1.1 200 OK", True, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["-sf", "{}/missing"], 22), (["http://127.0.0.1:1"], 7), (["http://name.invalid"], 6), (["ftp://x"], 1), ([], 2), (["--no-such"], 2)],
)
def test_curl_ends_with_curls_codes(server: str, arguments: list[str], code: int) -> None:
    """Scripts look at them."""
    assert run("curl.py", *(part.replace("{}", server) for part in arguments)).returncode == code


def test_curl_says_what_failed() -> None:
    """On standard error, silent or not with -S."""
    assert run("curl.py", "-sS", "http://127.0.0.1:1").stderr.startswith("curl: (7) Failed to connect to 127.0.0.1 port 1 after ")


def test_wget(server: str) -> None:
    """To standard output; 8 for an error that the server answered."""
    assert run("wget.py", "-qO-", f"{server}/a").stdout == "GET /a -\n"
    assert run("wget.py", "-qO-", f"{server}/missing").returncode == 8


def test_wrk(server: str) -> None:
    """Its report has wrk's lines."""
    output = run("wrk.py", "-t1", "-c2", "-d0.2s", "--latency", f"{server}/a").stdout
    assert "1 threads and 2 connections" in output
    assert "Requests/sec:" in output
    assert "Socket errors" not in output


def test_time() -> None:
    """The command's output and code, the time on standard error."""
    done = run("gnu_time.py", "-f", "%x %C", "sh", "-c", "echo hi; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("hi\n", "3 sh -c echo hi; exit 3\n", 3)


def test_time_formats() -> None:
    """Elapsed time as minutes and seconds, the rest in seconds."""
    assert (
        gnu_time.report(
            "%E %e %U %S %P",
            61.5,
            1.0,
            0.23,
        )
        == "1:01.50 61.50 1.00 0.23 2%"
    )


def test_entrypoint_lets_the_container_name_another_program() -> None:
    """`curl`'s image runs `sleep 0` as well as its own arguments."""
    assert run("entrypoint.py", "echo", "printf", "x").stdout == "x"
    assert run("entrypoint.py", "echo", "-n", "https://x").stdout == "https://x"
    assert run("entrypoint.py", "--only-without-program", "/nonexistent").returncode == 127


def test_only_missing_programs_get_a_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has wins; the stand-ins can be run."""
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/wget" if name == "wget" else None)
    (tmp_path / "wget").touch()
    fallbacks.install(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curl", "nc", "nslookup", "python", "shell", "time"]
    assert subprocess.run([tmp_path / "curl", "--version"], capture_output=True, text=True, check=True).stdout.startswith("curl ")
    assert subprocess.run([tmp_path / "shell/time", "true"], capture_output=True, text=True, check=True).stderr.startswith("real\t0.0")
    assert subprocess.run([tmp_path / "python/python", "-c", "print(7)"], capture_output=True, text=True, check=True).stdout == "7\n"
