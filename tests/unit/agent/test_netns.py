from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from varka.agent.netns import NetworkNamespace


def own() -> str:
    """The network namespace of this thread."""
    return os.readlink("/proc/thread-self/ns/net")


def test_none_is_the_own_namespace() -> None:
    """Sockets are ordinary ones, and do not block."""
    namespace = NetworkNamespace(None)
    with namespace.listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        assert listener.getblocking() is False
    namespace.close()


def test_a_taken_address_leaves_no_socket_open() -> None:
    """The error is the system's."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            NetworkNamespace(None).listen("127.0.0.1", other.getsockname()[1])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_process_that_has_ended_has_no_namespace() -> None:
    """FileNotFoundError, which the keeper takes for a reason to wait."""
    with pytest.raises(FileNotFoundError):
        NetworkNamespace(2**22 + 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="entering another's network namespace needs CAP_SYS_ADMIN, which clusters have in their user namespace")
def test_a_socket_is_made_in_the_namespace_of_another_process() -> None:
    """The calling thread is back in its own afterwards; the socket answers only inside."""
    unshared = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert unshared.stdin is not None and unshared.stdout is not None
        unshared.stdin.write(b"x")
        unshared.stdin.flush()
        unshared.stdout.read(1)  # it runs, so it has been unshared
        before = own()
        namespace = NetworkNamespace(unshared.pid)
        with namespace.listen("0.0.0.0", 15020) as listener:
            assert own() == before
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", 15020), timeout=2)
            assert listener.getsockname() == ("0.0.0.0", 15020)
        namespace.close()
        namespace.close()
    finally:
        unshared.kill()
        unshared.wait()
