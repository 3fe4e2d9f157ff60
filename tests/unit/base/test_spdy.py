from __future__ import annotations

import zlib

import pytest

from varka.base import spdy


def test_the_dictionary_is_the_protocols():
    """Length and checksum are those that every SPDY/3 implementation announces."""
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_frames_survive_being_cut_anywhere():
    """Frames come out whole however the bytes are split, with headers of several streams from one compression state."""
    sender, receiver = spdy.Codec(), spdy.Codec()
    wire = sender.syn_stream(1, {"streamtype": "error", "port": "80"}, fin=True) + sender.syn_stream(3, {"streamtype": "data", "port": "80"})
    wire += sender.data(3, b"payload") + sender.ping(b"\0\0\0\1") + sender.rst_stream(3)
    frames = [frame for byte in wire for frame in receiver.feed(bytes([byte]))]
    assert [(frame.kind, frame.stream, frame.fin) for frame in frames] == [(1, 1, True), (1, 3, False), (0, 3, False), (6, 0, False), (3, 3, False)]
    assert frames[1].headers == {"streamtype": "data", "port": "80"}
    assert frames[2].data == b"payload"


def test_what_is_no_spdy_is_refused():
    """Another version, an endless frame or a broken header block is a ValueError."""
    for wire in (b"\x80\x02\0\1\0\0\0\0", b"\0\0\0\1\0\xff\xff\xff", b"\x80\x03\0\1\0\0\0\x0e" + b"\0" * 14):
        with pytest.raises(ValueError, match=r"SPDY|too long|cannot be read"):
            list(spdy.Codec().feed(wire))
