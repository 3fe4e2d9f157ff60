"""The program `pilot-agent` inside a proxy container on this machine: asks the node's agent to prepare, then becomes Envoy.

    pilot-agent proxy sidecar …        register with the node agent, write Envoy's bootstrap, run Envoy
    pilot-agent istio-iptables …       redirect the pod's traffic (the init container)
    pilot-agent request GET PATH       ask Envoy's admin interface, as Istio's own program does
    pilot-agent version

Standard library only, run with `python -I -S`: it starts once in every pod.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import NoReturn

AGENT_SOCKET = "/var/run/varka/agent/agent.sock"
CONTROL_FD = 3
"""Where the shell that watches Envoy finds the connection to the node agent."""
READY_URL = "http://127.0.0.1:15020/healthz/ready"
REGISTER_TIMEOUT = 300.0
WATCH = (
    'trap "" PIPE; "$@" 3>&- & p=$!; trap "echo drain >&3 2>/dev/null || kill -TERM $p" TERM INT; '
    "while :; do wait $p; s=$?; kill -0 $p 2>/dev/null || break; done; exit $s"
)
"""A shell keeps Envoy company for one reason: to turn the container's SIGTERM into a drain that the agent conducts."""


def main() -> int:
    """Dispatch on the first argument; the exit code."""
    arguments = sys.argv[1:]
    verb = arguments[0] if arguments else ""
    if verb == "proxy":
        proxy(arguments[1:])
    if verb == "istio-iptables":
        sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
        from varka.agent import redirect

        return redirect.main(arguments[1:])
    if verb == "request":
        return request(arguments[1:])
    if verb == "version":
        print(os.environ.get("ISTIO_META_ISTIO_VERSION", "1.28.2"))
        return 0
    if verb == "wait":
        return wait()
    print(f"pilot-agent: unknown command {verb!r}; it knows proxy, istio-iptables, request, wait and version", file=sys.stderr)
    return 2


def proxy(arguments: list[str]) -> NoReturn:
    """Register, then become Envoy as the agent says."""
    connection = connect(AGENT_SOCKET, time.monotonic() + REGISTER_TIMEOUT)
    connection.settimeout(REGISTER_TIMEOUT)
    connection.sendall(json.dumps({"args": arguments, "env": dict(os.environ)}).encode() + b"\n")
    answer = json.loads(read_line(connection) or b'{"error": "the node agent closed the connection; it is restarted at once"}')
    if "error" in answer:
        raise SystemExit(f"pilot-agent: {answer['error']}")
    for path, content in answer["files"].items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
    connection.settimeout(None)
    os.dup2(connection.fileno(), CONTROL_FD)
    os.set_inheritable(CONTROL_FD, True)  # dup2 of a descriptor onto itself would leave it closed on exec
    os.execv("/bin/sh", ["sh", "-c", WATCH, "sh", *answer["argv"]])


def connect(path: str, deadline: float) -> socket.socket:
    """The node agent's socket; it may still be starting."""
    told = False
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise SystemExit(f"pilot-agent: no node agent at {path}: {error}; `varka status` says why") from error
            if not told:
                print(f"pilot-agent: waiting for the node agent at {path}", file=sys.stderr, flush=True)
                told = True
            time.sleep(0.05)


def read_line(connection: socket.socket) -> bytes:
    """One line; empty when the peer closes first."""
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(1 << 20)
        if not chunk:
            return b""
        received += chunk
    return received


def request(arguments: list[str]) -> int:
    """`request [--debug-port=PORT] METHOD PATH`: the answer on standard output."""
    port = "15000"
    rest: list[str] = []
    for argument in arguments:
        if argument.startswith("--debug-port="):
            port = argument.partition("=")[2]
        else:
            rest.append(argument)
    if len(rest) != 2 or not port.isdigit():
        print("pilot-agent: give a method and a path, such as: pilot-agent request GET stats", file=sys.stderr)
        return 2
    method, path = rest
    path = path.lstrip("/")
    if port == "15000" and path.partition("?")[0] == "stats/prometheus":
        port, path = "15020", path.replace("stats/prometheus", "stats/envoy", 1)  # under Istio's names
    call = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", method=method.upper(), data=b"" if method.upper() == "POST" else None)
    try:
        with urllib.request.urlopen(call, timeout=30) as response:
            sys.stdout.buffer.write(response.read())
    except urllib.error.HTTPError as error:
        print(f"pilot-agent: unexpected response code {error.code}: {error.read().decode(errors='replace')}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"pilot-agent: Envoy does not answer on port {port}: {error}", file=sys.stderr)
        return 1
    return 0


def wait() -> int:
    """Return when the proxy is ready; Istio's `holdApplicationUntilProxyStarts` runs it after the start."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(READY_URL, timeout=5):
                return 0
        except OSError:
            time.sleep(0.05)
    print("pilot-agent: the proxy was not ready within 60 s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
