"""A stand-in for nslookup on machines without it: `nslookup NAME [SERVER]`. Standard library only.

It asks the servers of /etc/resolv.conf for A and AAAA records (RFC 1035), with the search list when the name has few dots.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys

A, CNAME, PTR, AAAA = 1, 5, 12, 28
NXDOMAIN = 3
SECONDS = 5


class LookupFailedError(Exception):
    """No server answered."""


def configuration() -> tuple[list[str], list[str], int]:
    """Servers, search list and ndots of /etc/resolv.conf (resolv.conf(5))."""
    servers, search, dots = [], [], 1
    with open("/etc/resolv.conf") as file:
        for line in file:
            words = line.split()
            if words[:1] == ["nameserver"]:
                servers.append(words[1])
            elif words[:1] == ["search"]:
                search = words[1:]
            elif words[:1] == ["options"]:
                dots = next((int(word[6:]) for word in words if word.startswith("ndots:")), dots)
    return servers, search, dots


def ask(server: str, name: str, kind: int) -> tuple[int, list[tuple[str, int, str]]]:
    """The response code, and the answers as (name, type, text)."""
    number = struct.unpack("!H", os.urandom(2))[0]
    encoded = b"".join(bytes([len(label)]) + label for label in name.rstrip(".").encode("idna").split(b".") if label)
    question = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + encoded + b"\0" + struct.pack("!HH", kind, 1)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as query:
        query.settimeout(SECONDS)
        query.connect((server, 53))
        query.send(question)
        data = query.recv(4096)
        while data[:2] != question[:2]:
            data = query.recv(4096)
    return data[3] & 15, answers(data)


def answers(data: bytes) -> list[tuple[str, int, str]]:
    """The answer section of a message."""
    questions, count = struct.unpack("!2H", data[4:8])
    place = 12
    for _ in range(questions):
        place = read_name(data, place)[1] + 4
    found = []
    for _ in range(count):
        owner, place = read_name(data, place)
        kind, _, _, length = struct.unpack("!HHIH", data[place : place + 10])
        place += 10
        value = data[place : place + length]
        if kind in {A, AAAA}:
            found.append((owner, kind, str(ipaddress.ip_address(value))))
        elif kind in {CNAME, PTR}:
            found.append((owner, kind, read_name(data, place)[0]))
        place += length
    return found


def read_name(data: bytes, place: int) -> tuple[str, int]:
    """A name, maybe compressed, and where the message goes on after it."""
    labels: list[str] = []
    after = 0
    for _ in range(128):
        length = data[place]
        if length >= 0xC0:
            after = after or place + 2
            place = struct.unpack("!H", data[place : place + 2])[0] & 0x3FFF
        elif length:
            labels.append(data[place + 1 : place + 1 + length].decode(errors="replace"))
            place += 1 + length
        else:
            return ".".join(labels), after or place + 1
    raise LookupFailedError("damaged answer")


def candidates(name: str, search: list[str], dots: int) -> list[str]:
    """The full names to try in turn."""
    if name.endswith("."):
        return [name]
    longer = [f"{name}.{domain}" for domain in search]
    return [name, *longer] if name.count(".") >= dots else [*longer, name]


def look_up(server: str, name: str, search: list[str], dots: int) -> list[tuple[str, int, str]]:
    """The answers for the first candidate that exists; none when no candidate does."""
    try:
        return ask(server, ipaddress.ip_address(name).reverse_pointer, PTR)[1]
    except ValueError:
        pass
    for candidate in candidates(name, search, dots):
        code, found = ask(server, candidate, A)
        if code != NXDOMAIN:
            return found + [each for each in ask(server, candidate, AAAA)[1] if each[1] == AAAA]
    return []


def main() -> int:
    """Print what was found; 1 when nothing was."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if not words:
        print("usage: nslookup NAME [SERVER]", file=sys.stderr)
        return 1
    servers, search, dots = configuration()
    server = words[1] if len(words) > 1 else (servers or ["127.0.0.1"])[0]
    try:
        server = socket.gethostbyname(server) if ":" not in server else server
        found = look_up(server, words[0], search, dots)
    except (OSError, LookupFailedError) as error:
        print(f";; no servers could be reached: {error}")
        return 1
    print(f"Server:\t\t{server}\nAddress:\t{server}#53\n")
    if not any(kind != CNAME for _, kind, _ in found):
        print(f"** server can't find {words[0]}: {'No answer' if found else 'NXDOMAIN'}\n")
        return 1
    for owner, kind, text in found:
        if kind == CNAME:
            print(f"{owner}\tcanonical name = {text}.")
        elif kind == PTR:
            print(f"{owner}\tname = {text}.")
        else:
            print(f"Name:\t{owner}\nAddress: {text}")
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
