"""A stand-in for nc on machines without it: `nc [-v] [-z] [-w SECONDS] HOST PORT`, and `nc -l [-p] PORT`. Standard library only."""

from __future__ import annotations

import argparse
import select
import socket
import sys


def arguments() -> argparse.ArgumentParser:
    """The options; short ones may be joined (`-zv`)."""
    parser = argparse.ArgumentParser(prog="nc", allow_abbrev=False)
    parser.add_argument("-v", action="count", default=0)
    parser.add_argument("-z", action="store_true", help="only see whether something listens")
    parser.add_argument("-n", action="store_true", help="ignored: names are looked up all the same")
    parser.add_argument("-N", action="store_true", help="ignored: the end of standard input is always passed on")
    parser.add_argument("-l", action="store_true", help="listen")
    parser.add_argument("-p", type=int, help="the port to listen on")
    parser.add_argument("-u", action="store_true", help="UDP")
    parser.add_argument("-w", type=float, default=None, help="seconds to wait for the connection and for silence")
    parser.add_argument("where", nargs="*")
    return parser


def ports(text: str) -> list[int]:
    """One port, or those of a range `A-B`."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def connect(host: str, port: int, options: argparse.Namespace) -> socket.socket | None:
    """The connection; None, with the reason told as `-v` asks, when there is none."""
    try:
        if options.u:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.connect((host, port))
        else:
            made = socket.create_connection((host, port), timeout=options.w)
    except socket.gaierror:
        print(f'nc: getaddrinfo for host "{host}" port {port}: Name or service not known', file=sys.stderr)
        return None
    except TimeoutError:
        if options.v:
            print(f"nc: connect to {host} port {port} (tcp) failed: Connection timed out", file=sys.stderr)
        return None
    except OSError as error:
        if options.v:
            print(f"nc: connect to {host} port {port} (tcp) failed: {error.strerror}", file=sys.stderr)
        return None
    if options.v:
        print(f"Connection to {host} {port} port [{'udp' if options.u else 'tcp'}/*] succeeded!", file=sys.stderr)
    return made


def copy(peer: socket.socket, silence: float | None) -> None:
    """Standard input to the peer and back, until the peer ends."""
    sources: list[socket.socket | int] = [peer, 0]
    while True:
        ready, _, _ = select.select(sources, [], [], silence)
        if not ready:
            return
        if 0 in ready:
            typed = sys.stdin.buffer.raw.read(1 << 16) if hasattr(sys.stdin.buffer, "raw") else b""
            if typed:
                peer.sendall(typed)
            else:
                sources.remove(0)
                peer.shutdown(socket.SHUT_WR)
        if peer in ready:
            data = peer.recv(1 << 16)
            if not data:
                return
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def main() -> int:
    """0 when every port answered."""
    options = arguments().parse_args()
    if options.l:
        port = options.p or int(options.where[-1])
        with socket.create_server(("", port)) as server:
            if options.v:
                print(f"Listening on 0.0.0.0 {port}", file=sys.stderr)
            peer, _ = server.accept()
        copy(peer, options.w)
        return 0
    if len(options.where) != 2:
        print("usage: nc [-zv] [-w SECONDS] HOST PORT", file=sys.stderr)
        return 1
    host, reached = options.where[0], True
    for port in ports(options.where[1]):
        made = connect(host, port, options)
        reached = reached and made is not None
        if made is not None and not options.z:
            made.settimeout(None)
            try:
                copy(made, options.w)
            except OSError as error:
                print(f"nc: {error.strerror}", file=sys.stderr)
                return 1
        if made is not None:
            made.close()
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
