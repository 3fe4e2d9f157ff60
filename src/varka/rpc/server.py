"""A gRPC server on one TLS port, for callers with a certificate and for callers without.

Each call is answered by a task that runs the method's handler. Messages are read one after the other; a caller who sends
faster than they are read is stopped by flow control, and one who does not read makes only its own handler wait.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import cast

from varka.rpc import connection
from varka.rpc.connection import Connection
from varka.rpc.messages import CallError, Code, Shared

log = logging.getLogger("varka.rpc")

HANDSHAKE_SECONDS = 10.0
KEEPALIVE_SECONDS = 30.0
"""Silence after which a connection is asked for a sign of life."""
PATIENCE_SECONDS = 10.0
"""How long that sign may take."""
LAST_BYTES_SECONDS = 60.0
INBOX = 64
"""Messages that wait to be read before the caller is held up."""
WRITE_BUFFER = 1 << 20
WRITTEN_AT_ONCE = 1 << 16
"""Bytes given to TLS in one go: a connection keeps a buffer as large as the most that it was ever given, for all its life."""
BACKLOG = 1024
SPIFFE = "spiffe://"

Handler = Callable[["Call"], Awaitable[None]]
"""Answers one call: reads and writes, and returns when the call is over; CallError ends it with another code than OK."""


class Call:
    """One call, as its handler sees it."""

    def __init__(self, link: _Link, number: int, headers: tuple[tuple[str, str], ...]) -> None:
        self.metadata = headers
        """The caller's headers, names in lower case."""
        self.identity = link.identity
        """The SPIFFE ID of the caller's verified certificate, empty when it has none."""
        self._link = link
        self._number = number
        self._inbox: deque[bytes] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._ended = False
        self._error: CallError | None = None

    async def read(self) -> bytes | None:
        """The next message, None when there will be none."""
        while not self._inbox:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        data = self._inbox.popleft()
        if len(self._inbox) == INBOX // 2:
            self._link.hold(self._number, held=False)
        return data

    def send(self, head: Shared, tail: bytes = b"") -> bool:
        """Send one message of two parts; False when it waits for the caller, which `drained` then waits for as well."""
        return self._link.send(self._number, head, tail)

    async def drained(self) -> None:
        """Until everything sent has been taken; give it a timeout."""
        while self._link.waits(self._number):
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    async def write(self, data: bytes) -> None:
        """Send one message and wait until it has been taken; give it a timeout."""
        if not self.send(Shared(data)):
            await self.drained()

    def take(self, data: bytes) -> None:
        """A message has come."""
        self._inbox.append(data)
        if len(self._inbox) >= INBOX:
            self._link.hold(self._number, held=True)
        _wake(self._arrived)

    def end(self, error: CallError | None = None) -> None:
        """No more messages will come."""
        self._ended = True
        self._error = self._error or error
        _wake(self._arrived)

    def writable(self) -> None:
        """The caller has taken something."""
        _wake(self._drained)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


class _Link(asyncio.Protocol):
    """One connection: between its transport and the tasks of its calls."""

    def __init__(self, server: Server) -> None:
        self.identity = ""
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(server.largest_message)
        self._calls: dict[int, tuple[Call, asyncio.Task[None]]] = {}
        self._transport: asyncio.Transport
        self._paused = False
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self.identity = spiffe_id(transport.get_extra_info("peercert"))
        self._server.links.add(self)
        self._connection.start()
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(KEEPALIVE_SECONDS, self._check)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        for event in self._connection.feed(data):
            self._event(event)
        self._flush()
        if self._connection.closed:
            self._transport.close()

    def _event(self, event: connection.Event) -> None:
        if isinstance(event, connection.Started):
            self._begin(event.stream, event.headers)
            return
        found = self._calls.get(event.stream)
        if found is None:
            return
        call, task = found
        if isinstance(event, connection.Received):
            call.take(event.data)
        elif isinstance(event, connection.HalfClosed):
            call.end()
        elif isinstance(event, connection.Refused):
            call.end(event.error)
        elif isinstance(event, connection.Drained):
            call.writable()
        else:
            task.cancel()

    def _begin(self, number: int, headers: tuple[tuple[str, str], ...]) -> None:
        path = dict(headers).get(":path", "")
        handler = self._server.handlers.get(path)
        if handler is None:
            self._connection.end(number, Code.UNIMPLEMENTED, f"there is no method {path}")
            return
        call = Call(self, number, headers)
        self._calls[number] = (call, self._loop.create_task(self._answer(number, call, handler), name=f"call:{path}"))

    async def _answer(self, number: int, call: Call, handler: Handler) -> None:
        code, text = Code.OK, ""
        try:
            await handler(call)
            async with asyncio.timeout(LAST_BYTES_SECONDS):
                await call.drained()
        except CallError as error:
            code, text = error.code, error.text
        except TimeoutError:
            code, text = Code.UNAVAILABLE, "waited too long for the caller"
        except Exception as error:
            log.exception("a call failed")
            code, text = Code.INTERNAL, f"the server failed: {type(error).__name__}"
        finally:
            self._calls.pop(number, None)
        self._connection.end(number, code, text)
        self._flush()

    def _flush(self) -> None:
        pieces = self._connection.outgoing()
        for piece in pieces:
            view = memoryview(piece)
            for at in range(0, len(piece), WRITTEN_AT_ONCE):
                if self._transport.is_closing():
                    return
                self._transport.write(view[at : at + WRITTEN_AT_ONCE])

    def send(self, number: int, head: Shared, tail: bytes) -> bool:
        """Send; False when something waits."""
        sent = self._connection.send(number, head, tail)
        self._flush()
        return sent and not self._paused

    def waits(self, number: int) -> bool:
        """The caller has not taken everything."""
        return not self._transport.is_closing() and (self._paused or self._connection.pending(number))

    def hold(self, number: int, *, held: bool) -> None:
        """Stop the caller of a call, or let it go on."""
        self._connection.hold(number, held)
        self._flush()

    def pause_writing(self) -> None:
        # A client that does not read what it asked for shall not ask for more.
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        for call, _ in list(self._calls.values()):
            call.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.links.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        for call, task in list(self._calls.values()):
            task.cancel()
            call.end()

    def _check(self) -> None:
        quiet = self._loop.time() - self._heard
        if quiet >= KEEPALIVE_SECONDS + PATIENCE_SECONDS:
            log.info("a connection of %s is dead: nothing came for %.0f s", self.identity or "an unknown caller", quiet)
            self._transport.abort()
            return
        if quiet >= KEEPALIVE_SECONDS:
            self._connection.ping()
            self._flush()
            self._timer = self._loop.call_later(PATIENCE_SECONDS, self._check)
        else:
            self._timer = self._loop.call_later(KEEPALIVE_SECONDS - quiet, self._check)

    def stop(self) -> list[asyncio.Task[None]]:
        """End the connection; returns the tasks that are ending with it."""
        tasks = [task for _, task in self._calls.values()]
        for task in tasks:
            task.cancel()
        self._connection.close()
        self._flush()
        self._transport.close()
        return tasks

    def abort(self) -> None:
        """End it without a goodbye."""
        self._transport.abort()


class Server:
    """Serves `handlers` (by path, `/package.Service/Method`)."""

    def __init__(self, handlers: Mapping[str, Handler], *, largest_message: int = 4 << 20) -> None:
        self.handlers = dict(handlers)
        self.largest_message = largest_message
        self.links: set[_Link] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self.links)

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen; returns the port. The context asks for client certificates or not, and offers `h2`."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Link(self), host, port, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS, backlog=BACKLOG
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        links = list(self.links)
        tasks = [task for link in links for task in link.stop()]
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.gather(*tasks, return_exceptions=True)
        for link in links:
            link.abort()


def spiffe_id(certificate: object) -> str:
    """The one SPIFFE ID in the dictionary that `getpeercert` gives; empty for none, or for more than one."""
    if not isinstance(certificate, dict):
        return ""
    found = [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "URI" and str(value).startswith(SPIFFE)]
    return found[0] if len(found) == 1 else ""
