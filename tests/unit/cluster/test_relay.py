from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from varka.base.errors import VarkaError
from varka.cluster import forwards, handover, listeners, relay, settings, state


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """A server on loopback that answers in capitals and then closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def folder(tmp_path: Path) -> state.StateFolder:
    """A state folder."""
    made = state.StateFolder(tmp_path / "c")
    made.create()
    return made


@contextlib.asynccontextmanager
async def running(folder: state.StateFolder, *, egress: bool = True) -> AsyncIterator[None]:
    """A relay that may dial loopback, with a node that connects in the same namespace."""
    api = listeners.bind("127.0.0.1", 0)
    config = settings.ClusterSettings(api_port=api.getsockname()[1], egress=egress)
    task = asyncio.create_task(relay.Relay(folder, config, api, permitted=lambda _: True).run())
    while not folder.relay_socket.exists() or not folder.forwards_file.exists():
        await asyncio.sleep(0)
        if task.done():
            task.result()
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def say(address: tuple[str, int], text: bytes) -> bytes:
    """Send and half-close; everything that comes back."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def wish_for(folder: state.StateFolder, *wanted: forwards.Wish) -> list[forwards.Place]:
    """Tell the relay all wishes."""
    answer, _ = await handover.ask(folder.relay_socket, f"FORWARDS {forwards.encode(list(wanted))}")
    return forwards.places(answer)


@pytest.fixture
async def node(folder: state.StateFolder) -> AsyncIterator[None]:
    """Answers the relay's requests to connect, as the node does."""
    from varka.cluster.network import doors

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(folder.node_socket))
    listener.listen()
    task = asyncio.create_task(doors.serve_inward(listener))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    listener.close()


async def test_a_connection_is_carried_both_ways(folder: state.StateFolder, echo: int, node: None) -> None:
    """What the client sends arrives, half-close included, and the answer comes back."""
    async with running(folder):
        (place,) = await wish_for(folder, forwards.Wish(id="default/echo", target="127.0.0.1", ports=(echo,)))
        assert place.address != "127.0.0.1"
        assert await say((place.address, place.ports[echo]), b"x" * 300_000) == b"X" * 300_000


async def test_a_wish_that_is_withdrawn_is_no_longer_listened_for(folder: state.StateFolder, echo: int, node: None) -> None:
    """The port is free again at once."""
    async with running(folder):
        (place,) = await wish_for(folder, forwards.Wish(id="default/echo", target="127.0.0.1", ports=(echo,)))
        assert await wish_for(folder) == []
        await asyncio.sleep(0)
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection(place.address, place.ports[echo])


async def test_a_restarted_relay_listens_again_by_itself(folder: state.StateFolder, echo: int, node: None) -> None:
    """The node need not tell it."""
    async with running(folder):
        (place,) = await wish_for(folder, forwards.Wish(id="default/echo", target="127.0.0.1", ports=(echo,)))
    folder.relay_socket.unlink()
    async with running(folder):
        assert await say((place.address, place.ports[echo]), b"again") == b"AGAIN"


async def test_a_dial_carries_the_connection_that_was_handed_over(folder: state.StateFolder, echo: int) -> None:
    """The node gives its end away; the relay moves the bytes."""
    async with running(folder):
        ours, theirs = socket.socketpair()
        await handover.ask(folder.relay_socket, f"DIAL 127.0.0.1 {echo}", [theirs.fileno()])
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"out")
        writer.write_eof()
        assert await reader.read() == b"OUT"
        writer.close()


async def test_without_egress_nothing_is_dialled_or_resolved(folder: state.StateFolder, echo: int) -> None:
    """The relay itself refuses, whatever the node asks."""
    async with running(folder, egress=False):
        ours, theirs = socket.socketpair()
        with contextlib.closing(ours), contextlib.closing(theirs):
            with pytest.raises(VarkaError, match="not let out of the cluster"):
                await handover.ask(folder.relay_socket, f"DIAL 127.0.0.1 {echo}", [theirs.fileno()])
        with pytest.raises(VarkaError, match="closed"):
            await handover.ask(folder.relay_socket, "RESOLVE localhost")


async def test_names_are_resolved_as_the_host_does(folder: state.StateFolder) -> None:
    """/etc/hosts counts."""
    async with running(folder):
        assert await handover.ask(folder.relay_socket, "RESOLVE localhost") == ("127.0.0.1", [])


async def test_an_unknown_request_is_refused(folder: state.StateFolder) -> None:
    """The answer names it."""
    async with running(folder):
        with pytest.raises(VarkaError, match="unknown request FLY"):
            await handover.ask(folder.relay_socket, "FLY away")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("8.8.8.8", True),
        ("192.168.1.5", True),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
    ],
)
def test_where_pods_may_go(address: str, allowed: bool) -> None:
    """Not to the host's loopback, and not to a cloud's metadata service."""
    assert relay.may_dial(address) is allowed
