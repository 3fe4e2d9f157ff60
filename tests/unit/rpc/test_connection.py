"""One HTTP/2 connection, with h2's client at the other end."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest

from varka.rpc import connection, messages
from varka.rpc.connection import Connection, Drained, HalfClosed, Received, Refused, Reset, Started
from varka.rpc.messages import Code, Shared, prefix

HEADERS = [(":method", "POST"), (":path", "/a.B/C"), (":scheme", "https"), (":authority", "x"), ("content-type", "application/grpc")]


class Pair:
    """A server's connection and a client that h2 plays, without sockets."""

    def __init__(self, *, window: int = 65_535) -> None:
        self.server = Connection(10_000_000)
        self.server.start()
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.client.local_settings = h2.settings.Settings(initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.client.initiate_connection()
        self.seen: list[h2.events.Event] = []
        self.exchange()

    def exchange(self) -> list[connection.Event]:
        """Carry bytes both ways until there are none; the server's events."""
        found: list[connection.Event] = []
        while True:
            to_server, to_client = self.client.data_to_send(), b"".join(self.server.outgoing())
            if not to_server and not to_client:
                return found
            found += self.server.feed(to_server)
            if to_client:
                self.seen += self.client.receive_data(to_client)

    def call(self, *, end: bool = False) -> list[connection.Event]:
        """Begin the call 1."""
        self.client.send_headers(1, HEADERS, end_stream=end)
        return self.exchange()

    def received(self) -> bytes:
        """All data that the client was sent."""
        return b"".join(event.data for event in self.seen if isinstance(event, h2.events.DataReceived))

    def goodbye(self) -> int:
        """The error with which the server ended the connection."""
        (event,) = [event for event in self.seen if isinstance(event, h2.events.ConnectionTerminated)]
        return int(event.error_code or 0)


def test_call_with_one_message_each_way() -> None:
    """Headers, message, end; headers, message, trailers."""
    pair = Pair()
    (started,) = pair.call()
    assert isinstance(started, Started) and dict(started.headers)[":path"] == "/a.B/C"
    pair.client.send_data(1, prefix(2) + b"hi", end_stream=True)
    assert pair.exchange() == [Received(1, b"hi"), HalfClosed(1)]
    assert pair.server.send(1, Shared(b"you"), b"!")
    pair.server.end(1, Code.OK)
    pair.exchange()
    assert pair.received() == prefix(4) + b"you!"
    (answer,) = [event for event in pair.seen if isinstance(event, h2.events.ResponseReceived)]
    assert answer.headers == [(":status", "200"), ("content-type", "application/grpc")]
    (trailers,) = [event for event in pair.seen if isinstance(event, h2.events.TrailersReceived)]
    assert trailers.headers == [("grpc-status", "0")]


def test_refused_call_is_answered_by_trailers_only() -> None:
    """There is one block of headers, which ends the stream, and the caller may stop."""
    pair = Pair()
    pair.call()
    pair.server.end(1, Code.PERMISSION_DENIED, "no")
    pair.exchange()
    (answer,) = [event for event in pair.seen if isinstance(event, h2.events.ResponseReceived)]
    assert ("grpc-status", "7") in answer.headers and answer.stream_ended is not None
    assert [event.error_code for event in pair.seen if isinstance(event, h2.events.StreamReset)] == [0]


def test_bytes_beyond_the_callers_window_wait_for_it() -> None:
    """Nothing is sent that the caller did not allow; the rest goes out as it allows it."""
    pair = Pair(window=1000)
    pair.call()
    data = bytes(range(250)) * 10
    assert not pair.server.send(1, Shared(data), b"tail")
    assert pair.server.pending(1)
    pair.exchange()
    assert len(pair.received()) == 1000
    pair.client.acknowledge_received_data(1000, 1)
    assert pair.exchange() == []
    pair.client.acknowledge_received_data(1000, 1)
    assert pair.exchange() == [Drained(1)]
    assert pair.received() == prefix(2504) + data + b"tail"
    assert not pair.server.pending(1)


def test_messages_stay_in_order_when_the_first_waits() -> None:
    """A small message does not overtake a large one."""
    pair = Pair(window=1000)
    pair.call()
    pair.server.send(1, Shared(b"a" * 1500), b"")
    assert not pair.server.send(1, Shared(b"b"), b"")
    pair.exchange()
    pair.client.acknowledge_received_data(1000, 1)
    pair.exchange()
    assert pair.received() == prefix(1500) + b"a" * 1500 + prefix(1) + b"b"


def test_wider_windows_in_settings_apply_to_open_calls() -> None:
    """The difference is added, as the protocol says."""
    pair = Pair(window=100)
    pair.call()
    pair.server.send(1, Shared(b"a" * 200), b"")
    pair.exchange()
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 150})
    assert pair.exchange() == []
    assert len(pair.received()) == 150
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 300})
    assert pair.exchange() == [Drained(1)]


def test_window_of_the_connection_holds_for_all_calls_together() -> None:
    """A connection starts with 65,535 bytes, whatever its streams may have."""
    pair = Pair(window=1 << 20)
    pair.call()
    pair.server.send(1, Shared(b"a" * 70_000), b"")
    pair.exchange()
    assert len(pair.received()) == 65_535
    pair.client.increment_flow_control_window(10_000)
    assert pair.exchange() == [Drained(1)]


def test_caller_is_told_that_its_bytes_were_taken() -> None:
    """A message larger than every window arrives."""
    pair = Pair()
    pair.call()
    data = prefix(3_000_000) + b"x" * 3_000_000
    events: list[connection.Event] = []
    while data:
        size = min(16_384, pair.client.local_flow_control_window(1), len(data))
        assert size > 0
        pair.client.send_data(1, data[:size])
        data = data[size:]
        events += pair.exchange()
    assert events == [Received(1, b"x" * 3_000_000)]


def test_caller_that_is_held_runs_out_of_window() -> None:
    """It is told only after it is let go."""
    pair = Pair()
    pair.call()
    pair.server.hold(1, True)
    for _ in range(connection.STREAM_WINDOW // 16_384):
        pair.client.send_data(1, prefix(16_379) + b"x" * 16_379)
        pair.exchange()
    assert pair.client.local_flow_control_window(1) == 0
    pair.server.hold(1, False)
    pair.exchange()
    assert pair.client.local_flow_control_window(1) == connection.STREAM_WINDOW


def test_caller_that_ignores_the_window_is_cut_off() -> None:
    """More bytes than were allowed are an error of the connection."""
    pair = Pair()
    pair.call()
    pair.server.hold(1, True)
    frame = messages.data_frames(1, b"x" * 16_384, 16_384)
    for _ in range(connection.STREAM_WINDOW // 16_384 + 1):
        pair.server.feed(frame)
    assert pair.server.closed
    pair.exchange()
    assert pair.goodbye() == h2.errors.ErrorCodes.FLOW_CONTROL_ERROR


@pytest.mark.parametrize(
    "frame, code",
    [
        (messages.data_frame_head(5, 1) + b"x", h2.errors.ErrorCodes.PROTOCOL_ERROR),
        (messages.data_frame_head(0, 1) + b"x", h2.errors.ErrorCodes.PROTOCOL_ERROR),
        (messages.data_frame_head(1, 1)[:4] + b"\x08\0\0\0\1" + b"\5", h2.errors.ErrorCodes.PROTOCOL_ERROR),
        ((20_000).to_bytes(3, "big") + b"\0\0\0\0\0\1", h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
        (b"\0\0\3\x08\0\0\0\0\0abc", h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
        (b"\0\0\4\x08\0\0\0\0\0\0\0\0\0", h2.errors.ErrorCodes.PROTOCOL_ERROR),
        (b"\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff", h2.errors.ErrorCodes.FLOW_CONTROL_ERROR),
        (b"\0\0\4\x08\0\0\0\0\x09\0\0\0\1", h2.errors.ErrorCodes.PROTOCOL_ERROR),
        (b"\0\0\1\x01\0\0\0\0\3\x82" + messages.data_frame_head(1, 0), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    ],
    ids=["idle stream", "no stream", "padding", "too long", "short update", "zero update", "overflow", "update of an idle stream", "inside a header block"],
)
def test_broken_frames_end_the_connection(frame: bytes, code: int) -> None:
    """With the code that the protocol has for it, and nothing more is taken."""
    pair = Pair()
    pair.call()
    pair.server.feed(frame)
    assert pair.server.closed
    assert pair.server.feed(b"\0\0\0\4\0\0\0\0\0") == []
    pair.exchange()
    assert pair.goodbye() == code


def test_preface_must_be_right() -> None:
    """Whoever speaks something else is not listened to."""
    server = Connection(100)
    server.start()
    assert server.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == []
    assert server.closed


def test_connection_byte_by_byte() -> None:
    """Where the pieces end does not matter."""
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.send_headers(1, HEADERS)
    client.send_data(1, prefix(2) + b"hi", end_stream=True)
    server = Connection(100)
    server.start()
    data = client.data_to_send()
    events = [event for at in range(len(data)) for event in server.feed(data[at : at + 1])]
    assert [type(event) for event in events] == [Started, Received, HalfClosed]


def test_padding_is_no_part_of_the_message() -> None:
    """The padded bytes count for flow control only."""
    pair = Pair()
    pair.call()
    pair.client.send_data(1, prefix(2) + b"hi", pad_length=20)
    assert pair.exchange() == [Received(1, b"hi")]


def test_reset_ends_the_call_only() -> None:
    """Bytes for it that were on their way do no harm, and it can be ended again."""
    pair = Pair()
    pair.call()
    pair.client.reset_stream(1, h2.errors.ErrorCodes.CANCEL)
    assert pair.exchange() == [Reset(1)]
    assert pair.server.feed(messages.data_frames(1, prefix(1) + b"x", 100)) == []
    assert pair.server.send(1, Shared(b"x"), b"")
    pair.server.end(1, Code.OK)
    assert not pair.server.closed and pair.server.outgoing() == []


def test_last_message_must_be_complete() -> None:
    """The end inside a message is an error of the call."""
    pair = Pair()
    pair.call()
    pair.client.send_data(1, prefix(5) + b"hi", end_stream=True)
    refused, half = pair.exchange()
    assert isinstance(refused, Refused) and refused.error.code is Code.INTERNAL and half == HalfClosed(1)


def test_ping_is_answered_and_sent() -> None:
    """Both sides may ask for a sign of life."""
    pair = Pair()
    pair.client.ping(b"12345678")
    pair.server.ping()
    pair.exchange()
    kinds = [type(event) for event in pair.seen]
    assert h2.events.PingAckReceived in kinds and h2.events.PingReceived in kinds
