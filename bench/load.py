"""A load generator: HTTP/1.1 with keep-alive, one request under way on each connection, one process.

It sends the same bytes again and again and only looks for the end of each answer, so that it takes as little as it
can of the cores that it shares with the proxies: `python -m bench.load HOST PORT AUTHORITY CONNECTIONS SECONDS`.
Every answer has to be 200 and to end with the bytes that `envoy_pair.BODY` ends with.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

END = b"<end>"


def run(host: str, port: int, authority: str, connections: int, seconds: float) -> dict[str, float]:
    """Requests, seconds, and microseconds of latency."""
    request = f"GET /bench HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
    poll, sockets, sent, partial = select.epoll(), {}, {}, {}
    for _ in range(connections):
        connection = socket.create_connection((host, port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = connection.fileno()
        sockets[number], partial[number] = connection, b""
        poll.register(number, select.EPOLLIN)
    times: list[int] = []
    clock = time.perf_counter_ns
    started = clock()
    end = started + int(seconds * 1e9)
    for number, connection in sockets.items():
        sent[number] = clock()
        connection.send(request)
    while clock() < end:
        for number, _ in poll.poll(1):
            connection = sockets[number]
            data = partial[number] + connection.recv(65536)
            if not data.endswith(END):
                if data == partial[number]:
                    raise SystemExit("a connection was closed")
                partial[number] = data
                continue
            if not data.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"answer: {data[:120]!r}")
            partial[number] = b""
            now = clock()
            times.append(now - sent[number])
            sent[number] = clock()
            connection.send(request)
    took = (clock() - started) / 1e9
    times.sort()
    return {"requests": len(times), "seconds": took, "p50_us": times[len(times) // 2] / 1000, "p99_us": times[len(times) * 99 // 100] / 1000}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))))
