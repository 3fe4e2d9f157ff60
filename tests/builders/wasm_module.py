"""A WebAssembly module, assembled by hand: it speaks proxy-wasm 0.2.1 and adds one header to every response."""

from __future__ import annotations

I32 = 0x7F
RESPONSE_HEADERS = 2
KEY_AT, VALUE_AT, HEAP_AT = 1024, 1280, 4096


def number(value: int) -> bytes:
    """An unsigned number in LEB128."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def signed(value: int) -> bytes:
    """A number that is not negative, in signed LEB128."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        done = value == 0 and not low & 0x40
        out.append(low | (0 if done else 0x80))
        if done:
            return bytes(out)


def vector(items: list[bytes]) -> bytes:
    """A list with its length in front."""
    return number(len(items)) + b"".join(items)


def text(value: str) -> bytes:
    """A name."""
    return number(len(value)) + value.encode()


def section(kind: int, items: list[bytes]) -> bytes:
    """One section of the module."""
    body = vector(items)
    return bytes([kind]) + number(len(body)) + body


def signature(arguments: int, results: int) -> bytes:
    """A function type of 32-bit integers."""
    return b"\x60" + vector([bytes([I32])] * arguments) + vector([bytes([I32])] * results)


def constant(value: int) -> bytes:
    """`i32.const`."""
    return b"\x41" + signed(value)


def function(*instructions: bytes) -> bytes:
    """A body without locals."""
    body = b"\x00" + b"".join(instructions) + b"\x0b"
    return number(len(body)) + body


def adding_header(key: str, value: str) -> bytes:
    """The module; function 0 is Envoy's, 1 names the ABI, 2 gives memory, 3 is called for response headers."""
    call = [constant(RESPONSE_HEADERS), constant(KEY_AT), constant(len(key)), constant(VALUE_AT), constant(len(value)), b"\x10\x00", b"\x1a"]
    exports = [("memory", 2, 0), ("proxy_abi_version_0_2_1", 0, 1), ("proxy_on_memory_allocate", 0, 2), ("proxy_on_response_headers", 0, 3)]
    data = [(KEY_AT, key), (VALUE_AT, value)]
    return b"".join(
        [
            b"\0asm\x01\0\0\0",
            section(1, [signature(5, 1), signature(0, 0), signature(1, 1), signature(3, 1)]),
            section(2, [text("env") + text("proxy_add_header_map_value") + b"\x00" + number(0)]),
            section(3, [number(1), number(2), number(3)]),
            section(5, [b"\x00" + number(1)]),
            section(7, [text(name) + bytes([kind]) + number(index) for name, kind, index in exports]),
            section(10, [function(), function(constant(HEAP_AT)), function(*call, constant(0))]),
            section(11, [b"\x00" + constant(at) + b"\x0b" + text(content) for at, content in data]),
        ]
    )
