"""A connection between two processes: messages both ways, all of one turn of the loop together."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast, get_origin

from msgspec import msgpack

from corvo_schema.states import OnConflict
from corvo_server.engine.jobs import conflict_rule, policy_of

_SIZE = 4
"""Bytes of the length that stands before each frame, little-endian."""


class Link(asyncio.Protocol):
    """One end. A frame is a list of messages; what is sent in a turn of the loop shares one."""

    def __init__(
        self,
        messages: Any,
        on_message: Callable[["Link", Any], None],
        on_lost: Callable[["Link"], None],
    ) -> None:
        """`messages` is the type of those that arrive, each of which goes to `on_message`."""
        self._encode = msgpack.Encoder(enc_hook=_encode_rule).encode
        self._decode = msgpack.Decoder(list[messages], dec_hook=_decode_rule).decode
        self._on_message = on_message
        self._on_lost = on_lost
        self._rest = b""
        self._outgoing: list[Any] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    @property
    def is_closing(self) -> bool:
        """Whether what is sent now reaches nobody."""
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        self._on_lost(self)

    def send(self, message: Any) -> None:
        """Send with this turn of the loop."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(message)

    def close(self) -> None:
        """Send what is left, and hang up."""
        if self._outgoing:
            self._flush()
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Hand out the messages of the frames that are complete."""
        if self._rest:
            data = self._rest + data
        view, start = memoryview(data), 0
        while len(data) - start >= _SIZE:
            begin = start + _SIZE
            end = begin + int.from_bytes(view[start:begin], "little")
            if end > len(data):
                break
            for message in self._decode(view[begin:end]):
                self._on_message(self, message)
            start = end
        self._rest = data[start:]

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._transport is not None:
            frame = self._encode(outgoing)
            self._transport.write(len(frame).to_bytes(_SIZE, "little") + frame)


def _encode_rule(rule: Any) -> str:
    """What happens to the holder of a unique key goes over by its name."""
    if isinstance(rule, partial):
        return policy_of(rule)
    raise NotImplementedError(f"{type(rule)} is not for another process")


def _decode_rule(kind: type, name: Any) -> Any:
    if get_origin(kind) is partial:
        return conflict_rule(OnConflict(name))
    raise NotImplementedError(f"{kind} does not come from another process")
