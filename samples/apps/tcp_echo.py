"""tcp-echo: sends every line back with a word before it. Arguments: ports, separated by commas, and the word."""

from __future__ import annotations

import asyncio
import signal
import sys

IDLE_SECONDS = 3600.0


async def _line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(IDLE_SECONDS):
        return await reader.readline()


async def main(ports: list[int], word: str) -> None:
    """Listen on every port until SIGTERM."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await _line(reader):
                print(f"{writer.get_extra_info('peername')[0]} {line!r}", flush=True)
                writer.write(word.encode() + b" " + line)
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            print(f"connection ended: {error}", flush=True)
        finally:
            writer.close()

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    servers = [await asyncio.start_server(converse, "0.0.0.0", port) for port in ports]
    print(f"listening on {', '.join(map(str, ports))}", flush=True)
    await stop.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    asyncio.run(main([int(port) for port in sys.argv[1].split(",")], sys.argv[2] if len(sys.argv) > 2 else "hello"))
