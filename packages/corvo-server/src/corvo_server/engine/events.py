"""The event log as a feed: live from memory, further back from the store."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import partial
from itertools import islice

from msgspec import Struct

from corvo_server.store.protocol import Store
from corvo_server.store.records import Event

_KEPT = 10_000
"""Events in memory, so that live followers cost the store nothing."""
_CHUNK = 1_000


class EventFilter(Struct, frozen=True):
    """Which events a follower wants; None: of any kind."""

    queues: frozenset[str] | None = None
    job_ids: frozenset[str] | None = None
    types: frozenset[str] | None = None

    def passes(self, event: Event) -> bool:
        """Whether it wants this one."""
        return (
            (self.queues is None or event.queue in self.queues)
            and (self.job_ids is None or event.job_id in self.job_ids)
            and (self.types is None or event.type in self.types)
        )


class Events:
    """Followers read at their own pace: one that falls behind reads the log, and misses nothing.

    Where other servers write to the log as well, all of them read it, and share what they read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: deque[Event] = deque(maxlen=_KEPT)
        self._news = asyncio.Event()
        self._readings: dict[int, asyncio.Future[list[Event]]] = {}
        """By what they read behind, so that followers at the same place read once."""
        self._is_closed = False

    def note(self, events: Iterable[Event]) -> None:
        """These were committed, and on a shared store perhaps others."""
        if not self._store.is_shared:
            self._recent.extend(events)
        self._spread_news()

    def close(self) -> None:
        """End all followers once they have read what is there."""
        self._is_closed = True
        self._spread_news()

    async def last_id(self) -> int:
        """The id of the latest event; 0 before the first."""
        return await self._store.last_event_id()

    async def follow(
        self, after: int, wanted: EventFilter, patience: float
    ) -> AsyncGenerator[list[Event]]:
        """Yield the wanted events after the id `after`, in order, as they come.

        After `patience` seconds without any, an empty list: a chance to see whether the follower is
        still there. Ends when the server closes.
        """
        last = after
        while True:
            news = self._news
            events = await self._read(last)
            if events:
                last = events[-1].id
                passed = [event for event in events if wanted.passes(event)]
                if passed:
                    yield passed
            elif self._is_closed:
                return
            elif not await _comes(news, patience):
                yield []

    async def _read(self, after: int) -> Sequence[Event]:
        recent = self._recent
        if recent and recent[0].id <= after + 1:
            missed = recent[-1].id - after
            if missed <= 0:
                return []
            return list(islice(recent, len(recent) - missed, len(recent) - missed + _CHUNK))
        if not self._store.is_shared:
            return await self._store.read_events(after, _CHUNK)
        reading = self._readings.get(after)
        if reading is None:
            reading = asyncio.ensure_future(self._store.read_events(after, _CHUNK))
            self._readings[after] = reading
            reading.add_done_callback(partial(self._forget_reading, after))
        return await asyncio.shield(reading)

    def _forget_reading(self, after: int, reading: "asyncio.Future[list[Event]]") -> None:
        if self._readings.get(after) is reading:
            del self._readings[after]

    def _spread_news(self) -> None:
        # A new one for whoever looks from now on: nobody can take the news away from another.
        news, self._news = self._news, asyncio.Event()
        self._readings.clear()  # they may have begun before
        news.set()


async def _comes(news: asyncio.Event, patience: float) -> bool:
    try:
        await asyncio.wait_for(news.wait(), patience)
    except TimeoutError:
        return False
    return True
