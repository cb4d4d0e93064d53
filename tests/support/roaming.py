"""A client that knows several servers, and goes on with the next one when one fails it."""

import asyncio
import random
from collections.abc import Sequence

from support.history import Call, History, Recorder, Stopped, can_be_repeated
from support.wire import Body, Wire

_UNAVAILABLE = 503
_PAUSE = 0.05


class Roaming(Recorder):
    """Writes down what it asks and is answered, wherever it asks, until it is told to stop."""

    def __init__(
        self, wires: Sequence[Wire], history: History, chance: random.Random, stop: asyncio.Event
    ) -> None:
        self._wires = wires
        self._at = chance.randrange(len(wires))
        self._stop = stop
        super().__init__(wires[self._at], history)

    async def answered(self, verb: str, body: Body) -> Call:
        """Make a call; again elsewhere, if it can be repeated and no answer came."""
        while not self._stop.is_set():
            call = await self.call(verb, body)
            if call.status != _UNAVAILABLE and not call.is_open:
                return call
            await self._move_on()
            if call.is_open and not can_be_repeated(call):
                return call
        raise Stopped

    async def reported(self, verb: str, items: list[Body]) -> None:
        """Report on many jobs in one request; again elsewhere, if no answer came."""
        while not self._stop.is_set():
            calls = await self.outcomes(verb, items)
            if all(call.status != _UNAVAILABLE and not call.is_open for call in calls):
                return
            await self._move_on()
        raise Stopped

    async def _move_on(self) -> None:
        self._at = (self._at + 1) % len(self._wires)
        self._wire = self._wires[self._at]
        await asyncio.sleep(_PAUSE)
