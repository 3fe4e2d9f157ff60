"""A stand-in for wrk, the HTTP load generator: `wrk [-t THREADS] [-c CONNECTIONS] [-d DURATION] [-H HEADER] [--latency] URL`.

One event loop, keep-alive connections, wrk's report. Standard library only, so it measures a mesh on one machine roughly;
its own share of the processor shows in the numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from urllib.parse import urlsplit

UNITS = {"s": 1, "m": 60, "h": 3600}


class Tally:
    """What all connections saw together."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.read = 0
        self.refused = 0
        self.connect_errors = 0
        self.other_errors = 0


def seconds(text: str) -> float:
    """`30s`, `2m` or a number."""
    return float(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else float(text)


async def answer(reader: asyncio.StreamReader) -> tuple[int, int, bool]:
    """Status and size of one response, and whether the connection stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    size, stays = len(head), headers.get("connection", "").lower() != "close"
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while length := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(length + 2)
            size += length
        await reader.readline()
    elif "content-length" in headers:
        size += len(await reader.readexactly(int(headers["content-length"])))
    else:
        size, stays = size + len(await reader.read()), False
    return int(lines[0].split()[1]), size, stays


async def connection(host: str, port: int, request: bytes, until: float, tally: Tally) -> None:
    """Ask again and again until the time is over."""
    writer = None
    while time.monotonic() < until:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            tally.connect_errors += 1
            await asyncio.sleep(0.1)
            continue
        begin = time.monotonic()
        try:
            writer.write(request)
            status, size, stays = await answer(reader)
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError):
            tally.other_errors += 1
            stays = False
        else:
            tally.latencies.append(time.monotonic() - begin)
            tally.read += size
            tally.refused += status >= 400
        if not stays:
            writer.close()
            writer = None


def span(value: float) -> str:
    """Seconds as wrk writes them."""
    return f"{value * 1e6:.2f}us" if value < 1e-3 else f"{value * 1e3:.2f}ms" if value < 1 else f"{value:.2f}s"


def amount(value: float) -> str:
    """Bytes as wrk writes them."""
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{value:.2f}{unit}"
        value /= 1024
    return f"{value:.2f}GB"


def report(tally: Tally, spent: float, latency: bool) -> str:
    """wrk's summary."""
    found = sorted(tally.latencies) or [0.0]
    mean = sum(found) / len(found)
    deviation = (sum((each - mean) ** 2 for each in found) / len(found)) ** 0.5
    near = 100 * sum(abs(each - mean) <= deviation for each in found) / len(found)
    lines = ["  Thread Stats   Avg      Stdev     Max   +/- Stdev", f"    Latency {span(mean):>10}{span(deviation):>10}{span(found[-1]):>10}{near:8.2f}%"]
    if latency:
        lines += ["  Latency Distribution", *(f"    {part:>3}%  {span(found[min(len(found) - 1, len(found) * part // 100)]):>8}" for part in (50, 75, 90, 99))]
    lines.append(f"  {len(tally.latencies)} requests in {spent:.2f}s, {amount(tally.read)} read")
    if tally.connect_errors or tally.other_errors:
        lines.append(f"  Socket errors: connect {tally.connect_errors}, read {tally.other_errors}, write 0, timeout 0")
    if tally.refused:
        lines.append(f"  Non-2xx or 3xx responses: {tally.refused}")
    return "\n".join([*lines, f"Requests/sec: {len(tally.latencies) / spent:10.2f}", f"Transfer/sec: {amount(tally.read / spent):>12}"])


async def run(options: argparse.Namespace) -> int:
    """The whole measurement."""
    parts = urlsplit(options.url)
    if parts.scheme != "http" or not parts.hostname:
        print(f"unable to use {options.url}: this stand-in speaks http only", file=sys.stderr)
        return 1
    headers = {"Host": parts.netloc} | {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in options.header)}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = "\r\n".join([f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()
    print(f"Running {options.duration} test @ {options.url}\n  {options.threads} threads and {options.connections} connections", flush=True)
    tally, begin = Tally(), time.monotonic()
    length = seconds(options.duration)
    tasks = [asyncio.create_task(connection(parts.hostname, parts.port or 80, request, begin + length, tally)) for _ in range(options.connections)]
    _, late = await asyncio.wait(tasks, timeout=length + 2)
    for task in late:
        task.cancel()
    print(report(tally, time.monotonic() - begin, options.latency))
    return 0


def main() -> int:
    """Options as wrk's."""
    parser = argparse.ArgumentParser(prog="wrk", allow_abbrev=False)
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-c", "--connections", type=int, default=10)
    parser.add_argument("-d", "--duration", default="10s")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--timeout")
    parser.add_argument("url")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
