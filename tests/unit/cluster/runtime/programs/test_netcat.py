"""The stand-in for nc."""

from __future__ import annotations

import socket
import subprocess
import sys

from varka.cluster.runtime.programs import netcat


def run(*arguments: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The program as containers run it."""
    return subprocess.run([sys.executable, "-I", "-S", netcat.__file__, *arguments], input=typed, capture_output=True, timeout=20, check=False)


def test_ports() -> None:
    """One port or a range."""
    assert (netcat.ports("80"), netcat.ports("80-82")) == ([80], [80, 81, 82])


def test_scan() -> None:
    """`-zv` tells whether something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = run("-zv", "127.0.0.1", port)
        assert (done.returncode, done.stderr.decode()) == (0, f"Connection to 127.0.0.1 {port} port [tcp/*] succeeded!\n")
    done = run("-zv", "127.0.0.1", port)
    assert (done.returncode, done.stderr.decode()) == (1, f"nc: connect to 127.0.0.1 port {port} (tcp) failed: Connection refused\n")
