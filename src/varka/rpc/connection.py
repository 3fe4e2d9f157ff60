"""The server's side of one HTTP/2 connection, without I/O: bytes go in, events and bytes come out.

The library h2 has the say about everything that is rare: the preface, settings, headers, resets, pings, errors. DATA and
WINDOW_UPDATE frames, which are nearly all of the traffic, never reach it: they are read and written here, with the
accounts of both directions' flow control, so that frames which are ready can be sent to many connections as they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from varka.rpc import messages
from varka.rpc.messages import Assembly, CallError, Shared

PREFACE = 24
HEADERS, PUSH_PROMISE, WINDOW_UPDATE, CONTINUATION = 1, 5, 8, 9
PADDED, END_HEADERS = 8, 4
LARGEST_FRAME = 16_384
"""That a client may send: the protocol's own limit unless a server says otherwise."""
STREAM_WINDOW, CONNECTION_WINDOW = 1 << 20, 4 << 20
"""Bytes that a client may send without being told that they were taken."""
MOST_CALLS = 100
LARGEST_WINDOW = (1 << 31) - 1
JOINED = 32_768
"""Pieces to send are put together up to this size."""


class Started(NamedTuple):
    """A call begins."""

    stream: int
    headers: tuple[tuple[str, str], ...]


class Received(NamedTuple):
    """A message of a call."""

    stream: int
    data: bytes


class Refused(NamedTuple):
    """The caller sent what cannot be taken."""

    stream: int
    error: CallError


class HalfClosed(NamedTuple):
    """The caller has nothing more to say."""

    stream: int


class Reset(NamedTuple):
    """The caller has given the call up."""

    stream: int


class Drained(NamedTuple):
    """Everything that waited for the caller's flow-control window has been sent."""

    stream: int


Event = Started | Received | Refused | HalfClosed | Reset | Drained


class Stream:
    """The accounts of one call."""

    __slots__ = ("answered", "assembly", "credit", "ended", "held", "owed", "pending", "window")

    def __init__(self, window: int, limit: int) -> None:
        self.window = window
        """Bytes that may be sent."""
        self.credit = STREAM_WINDOW
        """Bytes that the caller may send."""
        self.owed = 0
        """Bytes that were taken, of which the caller has not been told."""
        self.held = False
        """The caller is not told for now."""
        self.assembly = Assembly(limit)
        self.pending = b""
        """Waits for the window."""
        self.answered = False
        """The headers of the answer are sent."""
        self.ended = False
        """The caller has closed its half."""


class Connection:
    """One connection. `outgoing` gives what to write after any call of a method."""

    def __init__(self, largest_message: int) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._h2 = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={codes.INITIAL_WINDOW_SIZE: STREAM_WINDOW, codes.MAX_CONCURRENT_STREAMS: MOST_CALLS, codes.MAX_HEADER_LIST_SIZE: 1 << 16},
        )
        self._largest_message = largest_message
        self._window = 65_535
        self._credit = CONNECTION_WINDOW
        self._owed = 0
        self._streams: dict[int, Stream] = {}
        self._newest = 0
        self._buffer = b""
        self._preface = False
        self._block = False
        self._out: list[bytes] = []
        self.closed = False
        """Nothing more is taken; what is still to be written says why."""

    def start(self) -> None:
        """Say the server's settings."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - 65_535)

    def outgoing(self) -> list[bytes]:
        """What is to be written now."""
        control = self._h2.data_to_send()
        if control:
            self._out.append(control)
        found, self._out = self._out, []
        if len(found) > 1 and sum(map(len, found)) <= JOINED:
            return [b"".join(found)]
        return found

    # Control bytes of h2 and data of ours go out in the order in which they were made.
    def _put(self, data: bytes) -> None:
        control = self._h2.data_to_send()
        if control:
            self._out.append(control)
        self._out.append(data)

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes from the client."""
        if self.closed:
            return []
        data = self._buffer + data if self._buffer else data
        at, events = 0, list[Event]()
        if not self._preface:
            if len(data) < PREFACE:
                self._buffer = data
                return []
            self._preface = True
            at = PREFACE
            self._forward(data[:at], events)
        end = len(data)
        while end - at >= messages.FRAME_HEAD and not self.closed:
            size = int.from_bytes(data[at : at + 3], "big")
            if size > LARGEST_FRAME:
                self._fail(h2.errors.ErrorCodes.FRAME_SIZE_ERROR)
                break
            after = at + messages.FRAME_HEAD + size
            if end < after:
                break
            self._frame(data[at:after], events)
            at = after
        self._buffer = data[at:]
        return events

    def _frame(self, frame: bytes, events: list[Event]) -> None:
        kind, flags = frame[3], frame[4]
        if not self._block and kind in (messages.DATA, WINDOW_UPDATE):
            stream = int.from_bytes(frame[5:9], "big") & LARGEST_WINDOW
            if kind == messages.DATA:
                self._take(stream, flags, frame[9:], events)
            else:
                self._widen(stream, frame[9:], events)
            return
        if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
            self._block = not flags & END_HEADERS
        self._forward(frame, events)

    def _forward(self, data: bytes, events: list[Event]) -> None:
        try:
            found = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.closed = True
            return
        for event in found:
            self._event(event, events)

    def _event(self, event: Any, events: list[Event]) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._streams[event.stream_id] = Stream(self._h2.remote_settings.initial_window_size, self._largest_message)
            self._newest = event.stream_id
            headers = tuple((bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in event.headers)
            events.append(Started(event.stream_id, headers))
        elif isinstance(event, h2.events.StreamEnded):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.ended = True
                if stream.assembly.partial:
                    events.append(Refused(event.stream_id, CallError(messages.Code.INTERNAL, "the last message is not complete")))
                events.append(HalfClosed(event.stream_id))
        elif isinstance(event, h2.events.StreamReset):
            if self._streams.pop(event.stream_id, None) is not None:
                events.append(Reset(event.stream_id))
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            changed = event.changed_settings.get(h2.settings.SettingCodes.INITIAL_WINDOW_SIZE)
            if changed is not None:
                for stream in self._streams.values():
                    stream.window += changed.new_value - (changed.original_value or 0)
                self._flush(events)

    def _take(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        size = len(payload)
        self._credit -= size
        if number == 0 or number > self._newest or not number & 1:
            self._fail(h2.errors.ErrorCodes.PROTOCOL_ERROR)
            return
        if self._credit < 0:
            self._fail(h2.errors.ErrorCodes.FLOW_CONTROL_ERROR)
            return
        self._owed += size
        if self._owed >= CONNECTION_WINDOW // 2:
            self._put(_window_update(0, self._owed))
            self._credit, self._owed = self._credit + self._owed, 0
        stream = self._streams.get(number)
        if stream is None or stream.ended:
            return
        stream.credit -= size
        if stream.credit < 0:
            self._fail(h2.errors.ErrorCodes.FLOW_CONTROL_ERROR)
            return
        if flags & PADDED:
            if not size or payload[0] >= size:
                self._fail(h2.errors.ErrorCodes.PROTOCOL_ERROR)
                return
            payload = payload[1 : size - payload[0]]
        try:
            events += [Received(number, data) for data in stream.assembly.feed(payload)]
        except CallError as error:
            events.append(Refused(number, error))
            return
        if flags & messages.END_STREAM:
            self._forward(messages.data_frame_head(number, 0)[:4] + bytes((messages.END_STREAM,)) + number.to_bytes(4, "big"), events)
            return
        stream.owed += size
        self._tell(number, stream)

    def _tell(self, number: int, stream: Stream) -> None:
        if not stream.held and stream.owed >= STREAM_WINDOW // 2:
            self._put(_window_update(number, stream.owed))
            stream.credit, stream.owed = stream.credit + stream.owed, 0

    def hold(self, number: int, held: bool) -> None:
        """Whether the caller shall, for now, not be told that its bytes were taken, so that it stops when its window is used up."""
        stream = self._streams.get(number)
        if stream is not None and stream.held != held:
            stream.held = held
            self._tell(number, stream)

    def _widen(self, number: int, payload: bytes, events: list[Event]) -> None:
        if len(payload) != 4:
            self._fail(h2.errors.ErrorCodes.FRAME_SIZE_ERROR)
            return
        increment = int.from_bytes(payload, "big") & LARGEST_WINDOW
        if number == 0:
            self._window += increment
            if not increment or self._window > LARGEST_WINDOW:
                self._fail(h2.errors.ErrorCodes.FLOW_CONTROL_ERROR if increment else h2.errors.ErrorCodes.PROTOCOL_ERROR)
                return
            self._flush(events)
            return
        stream = self._streams.get(number)
        if stream is None:
            if number > self._newest:
                self._fail(h2.errors.ErrorCodes.PROTOCOL_ERROR)
            return
        stream.window += increment
        if not increment or stream.window > LARGEST_WINDOW:
            self.reset(number, h2.errors.ErrorCodes.FLOW_CONTROL_ERROR if increment else h2.errors.ErrorCodes.PROTOCOL_ERROR)
            events.append(Reset(number))
            return
        if stream.pending:
            self._push(number, stream, events)

    def _flush(self, events: list[Event]) -> None:
        for number, stream in self._streams.items():
            if stream.pending:
                self._push(number, stream, events)

    def _push(self, number: int, stream: Stream, events: list[Event] | None) -> None:
        allowed = min(stream.window, self._window, len(stream.pending))
        if allowed <= 0:
            return
        self._put(messages.data_frames(number, stream.pending[:allowed], self._h2.max_outbound_frame_size))
        stream.pending = stream.pending[allowed:]
        stream.window -= allowed
        self._window -= allowed
        if not stream.pending and events is not None:
            events.append(Drained(number))

    def answer(self, number: int) -> None:
        """Send the headers of the answer."""
        stream = self._streams[number]
        stream.answered = True
        self._h2.send_headers(number, [(":status", "200"), ("content-type", "application/grpc")])

    def send(self, number: int, head: Shared, tail: bytes) -> bool:
        """Send one message; False when part of it waits for the caller's window (a `Drained` follows), True as well when the call is over."""
        stream = self._streams.get(number)
        if stream is None or self.closed:
            return True
        if not stream.answered:
            self.answer(number)
        size = messages.PREFIX + len(head) + len(tail)
        if not stream.pending and size <= stream.window and size <= self._window:
            stream.window -= size
            self._window -= size
            largest = self._h2.max_outbound_frame_size
            self._put(head.framed(number, len(tail), largest))
            if tail:
                self._out.append(messages.data_frames(number, tail, largest))
            return True
        stream.pending += messages.prefix(len(head) + len(tail)) + head.data + tail
        self._push(number, stream, None)
        return not stream.pending

    def pending(self, number: int) -> bool:
        """Something of this call waits for the caller's window."""
        stream = self._streams.get(number)
        return stream is not None and bool(stream.pending)

    def end(self, number: int, code: messages.Code, text: str = "") -> None:
        """End a call with its status; what still waits for the window is dropped."""
        stream = self._streams.pop(number, None)
        if stream is None or self.closed:
            return
        first = [] if stream.answered else [(":status", "200"), ("content-type", "application/grpc")]
        self._h2.send_headers(number, [*first, *messages.status(code, text)], end_stream=True)
        if not stream.ended:
            self._h2.reset_stream(number, h2.errors.ErrorCodes.NO_ERROR)

    def reset(self, number: int, code: h2.errors.ErrorCodes) -> None:
        """Give a call up."""
        if self._streams.pop(number, None) is not None and not self.closed:
            self._h2.reset_stream(number, code)

    def ping(self) -> None:
        """Ask for a sign of life."""
        if not self.closed:
            self._h2.ping(b"varka-ok")

    def close(self) -> None:
        """Say goodbye."""
        if not self.closed:
            self._fail(h2.errors.ErrorCodes.NO_ERROR)

    def _fail(self, code: h2.errors.ErrorCodes) -> None:
        self._h2.close_connection(code, last_stream_id=self._newest)
        self.closed = True


def _window_update(stream: int, increment: int) -> bytes:
    return b"\0\0\4" + bytes((WINDOW_UPDATE, 0)) + stream.to_bytes(4, "big") + increment.to_bytes(4, "big")
