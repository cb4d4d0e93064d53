"""Messages between processes: whole, in order, and all of one turn in one frame."""

import asyncio
from typing import Any

import pytest

from corvo_server.processes.link import Link
from corvo_server.processes.wire import AskCounts, CallFailed, Withdraw
from server_support.bench import turns

Message = Withdraw | CallFailed


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []

    def write(self, data: Any) -> None:
        self.frames.append(bytes(data))

    def close(self) -> None:
        self.frames.append(b"")

    def is_closing(self) -> bool:
        return b"" in self.frames


def make_link(received: list[Any]) -> tuple[Link, Transport]:
    link = Link(Message, lambda _, message: received.append(message), lambda _: None)
    transport = Transport()
    link.connection_made(transport)
    return link, transport


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_messages_arrive_whole_however_they_are_cut(size: int) -> None:
    received: list[Any] = []
    link, transport = make_link(received)
    sent: list[Any] = [Withdraw(1), CallFailed(2, "kind", "message" * 20), Withdraw(3)]
    for message in sent:
        link.send(message)
        await turns()
    stream = b"".join(transport.frames)
    for start in range(0, len(stream), size):
        link.data_received(stream[start : start + size])
    assert received == sent


async def test_what_is_sent_in_one_turn_is_written_at_once() -> None:
    link, transport = make_link([])
    for number in range(10):
        link.send(Withdraw(number))
    assert transport.frames == []
    await turns()
    assert len(transport.frames) == 1


async def test_close_sends_what_is_left() -> None:
    link, transport = make_link([])
    link.send(AskCounts())
    link.close()
    assert [bool(frame) for frame in transport.frames] == [True, False]
    assert link.is_closing
    await turns()
    assert len(transport.frames) == 2
