"""A client of several servers that moves to the next server when one does not answer."""

import asyncio
import random
from collections.abc import Sequence

from support.api_client import ApiClient, Body
from support.history import Call, History, Recorder, Stopped, can_be_repeated

_UNAVAILABLE = 503
_PAUSE = 0.05


class FailoverClient(Recorder):
    """Records every call and its answer on any of the servers, until `stop` is set."""

    def __init__(
        self,
        apis: Sequence[ApiClient],
        history: History,
        chance: random.Random,
        stop: asyncio.Event,
    ) -> None:
        self._apis = apis
        self._at = chance.randrange(len(apis))
        self._stop = stop
        super().__init__(apis[self._at], history)

    async def answered(self, verb: str, body: Body) -> Call:
        """Make a call. Repeat it on the next server if no answer came and it may be repeated."""
        while not self._stop.is_set():
            call = await self.call(verb, body)
            if call.status != _UNAVAILABLE and not call.is_open:
                return call
            await self._move_on()
            if call.is_open and not can_be_repeated(call):
                return call
        raise Stopped

    async def reported(self, verb: str, items: list[Body]) -> None:
        """Report the outcomes of jobs. Repeat the request on the next server if no answer came."""
        while not self._stop.is_set():
            calls = await self.outcomes(verb, items)
            if all(call.status != _UNAVAILABLE and not call.is_open for call in calls):
                return
            await self._move_on()
        raise Stopped

    async def _move_on(self) -> None:
        self._at = (self._at + 1) % len(self._apis)
        self._api = self._apis[self._at]
        await asyncio.sleep(_PAUSE)
