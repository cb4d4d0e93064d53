"""Streams of server-sent events: their request and the parser of their messages. No I/O."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from corvo_client._call import Call, Exact
from corvo_client._codec import read_nothing

R = TypeVar("R")

MAX_SILENCE = 15.0
"""Seconds after which the server sends a keep-alive comment if there is no message."""


@dataclass(frozen=True, slots=True)
class Stream(Generic[R]):
    """A stream to follow. `read` parses the data of one message.

    `after` is the id of the last message seen, or None: then the server decides where to start.
    """

    path: str
    read: Callable[[bytes], R]
    after: str | None = None

    def call(self, after: str | None) -> Call[None]:
        """Return the request for the messages after a message id, or from the server's start."""
        path = self.path
        if after is not None:
            path += f"{'&' if '?' in path else '?'}last_event_id={after}"
        return Call("GET", path, read_nothing, repeatable=True, waits=MAX_SILENCE)


def exact_stream(stream: Stream[R]) -> Stream[Exact[R]]:
    """Return the same stream with `Exact` values: each message and its bytes."""

    def read(data: bytes) -> Exact[R]:
        return Exact(stream.read(data), data)

    return Stream(stream.path, read, stream.after)


class Message(NamedTuple):
    """One message. A message without data only reports the position of the stream."""

    id: str | None
    data: bytes | None


class MessageReader:
    """Parser of server-sent events (HTML standard, UTF-8). Pieces may end anywhere.

    The event type is ignored, because Corvo repeats it in the data. The exception is `end`, the
    last message of a stream that the client did not read in time: only its id counts.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._id: str | None = None
        self._is_end = False

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Parse the next bytes. Yield the messages that they complete."""
        text = self._rest + piece
        # The \n of a \r\n may be the first byte of the next piece.
        is_cut = text.endswith(b"\r")
        lines = (text[:-1] if is_cut else text).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *complete, rest = lines.split(b"\n")
        self._rest = rest + b"\r" if is_cut else rest
        for line in complete:
            if line:
                self._take(line)
            elif self._data or self._id is not None:
                has_data = self._data and not self._is_end
                yield Message(self._id, b"\n".join(self._data) if has_data else None)
                self._data, self._id, self._is_end = [], None, False

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"id" and value.isdigit():
            self._id = value.decode()
        elif name == b"event":
            self._is_end = value == b"end"
