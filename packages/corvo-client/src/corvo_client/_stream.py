"""A stream of server-sent events: what is asked for, and how its bytes are read. No I/O."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from corvo_client._call import Call, Exact
from corvo_client._codec import read_nothing

R = TypeVar("R")

LONGEST_SILENCE = 15.0
"""Seconds after which the server says that it is still there, when it has nothing else to say."""


@dataclass(frozen=True, slots=True)
class Stream(Generic[R]):
    """Something to follow. `read` reads the data of one message; `after` is where to go on."""

    path: str
    read: Callable[[bytes], R]
    after: str | None = None

    def call(self, after: str | None) -> Call[None]:
        """Return the request that follows it from a message on, or from its beginning."""
        path = self.path
        if after is not None:
            path += f"{'&' if '?' in path else '?'}last_event_id={after}"
        return Call("GET", path, read_nothing, repeatable=True, waits=LONGEST_SILENCE)


def exact_stream(stream: Stream[R]) -> Stream[Exact[R]]:
    """Return the same stream, with the bytes of each message's data beside what they mean."""

    def read(data: bytes) -> Exact[R]:
        return Exact(stream.read(data), data)

    return Stream(stream.path, read, stream.after)


class Message(NamedTuple):
    """One message. Without data it only says where the stream is."""

    id: str | None
    data: bytes | None


class MessageReader:
    """Cuts a stream of bytes into messages, wherever the pieces begin and end.

    The format is that of the HTML standard, in UTF-8. The type of a message is not kept: a stream
    of Corvo's says it in the data, too.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._id: str | None = None

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Take the next bytes; yield the messages that they complete."""
        text = self._rest + piece
        # A line may end with \r\n, of which the second half has not come yet.
        is_cut = text.endswith(b"\r")
        lines = (text[:-1] if is_cut else text).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *complete, rest = lines.split(b"\n")
        self._rest = rest + b"\r" if is_cut else rest
        for line in complete:
            if line:
                self._take(line)
            elif self._data or self._id is not None:
                yield Message(self._id, b"\n".join(self._data) if self._data else None)
                self._data, self._id = [], None

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"id" and value.isdigit():
            self._id = value.decode()
