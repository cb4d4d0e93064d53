"""The event feed: recent events come from memory, older ones from the store."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from itertools import islice

from msgspec import Struct

from corvo_server.auth.caller import caller
from corvo_server.engine.access import seen_event
from corvo_server.engine.keys import Keys
from corvo_server.engine.redaction import Redaction
from corvo_server.store.protocol import Store
from corvo_server.store.records import Event, shorten

_KEPT = 10_000
"""Number of events kept in memory, so that live followers need no reads of the store."""
_LARGEST_KEPT = 2_000
"""Maximum length of the data of an event kept in memory, so that all of them have 20 MB at most."""
_CHUNK = 250
"""Maximum number of events that a follower takes at once."""
_CHUNK_DATA = 64 * 1024
"""Length of the data of events at which a follower takes no more at once."""


class EventFilter(Struct, frozen=True):
    """Filter of a follower. A field that is None matches every event."""

    queues: frozenset[str] | None = None
    job_ids: frozenset[str] | None = None
    types: frozenset[str] | None = None

    def matches(self, event: Event) -> bool:
        """Return whether the filter matches `event`."""
        return (
            (self.queues is None or event.queue in self.queues)
            and (self.job_ids is None or event.job_id in self.job_ids)
            and (self.types is None or event.type in self.types)
        )


class Events:
    """The event feed. Each follower reads at its own pace and misses no event.

    A follower that falls behind reads the event log. On a shared store all followers read it,
    because other servers write to it too; followers at the same position share a read.
    """

    def __init__(self, store: Store, keys: Keys, redaction: Redaction) -> None:
        self._store = store
        self._keys = keys
        self._redaction = redaction
        self._recent: deque[Event] = deque(maxlen=_KEPT)
        self._changed = asyncio.Event()
        self._readings: dict[int, asyncio.Future[list[Event]]] = {}
        """Reads under way, by the id of the event after which they start."""
        self._is_closed = False

    def note(self, events: Sequence[Event]) -> None:
        """Add committed events and wake the followers. A shared store may have further events.

        Without `events`, it is unknown which ones were added: followers read the event log.
        """
        if not self._store.is_shared:
            if not events:
                self._recent.clear()
            for event in events:
                if event.data is not None and len(event.data) > _LARGEST_KEPT:
                    # The events in memory have no gaps. Followers read earlier events in the log.
                    self._recent.clear()
                else:
                    self._recent.append(event)
        self._wake_followers()

    def note_keys(self) -> None:
        """Let the followers look whether their keys are still valid."""
        self._wake_followers()

    def close(self) -> None:
        """End all followers after they have read the remaining events."""
        self._is_closed = True
        self._wake_followers()

    async def last_id(self) -> int:
        """Return the id of the latest event; 0 if the log is empty."""
        return await self._store.last_event_id()

    async def follow(
        self, after: int, event_filter: EventFilter, interval: float
    ) -> AsyncGenerator[list[Event]]:
        """Yield the events after the id `after` that match `event_filter`, in order.

        Yield an empty list after `interval` seconds without any event, so that the caller can
        check its connection. End when the server closes, or when the key of the caller ends.
        """
        last = after
        who = caller()
        while self._keys.is_valid(who):
            changed = self._changed
            events = await self._read(last)
            if events:
                last = events[-1].id
                matching = [event for event in events if event_filter.matches(event)]
                if who.scope is not None:
                    found = (seen_event(event, who.scope) for event in matching)
                    matching = [event for event in found if event is not None]
                if matching and self._keys.is_valid(who):
                    yield self._redaction.events(matching)
            elif self._is_closed:
                return
            elif not await _is_set_within(changed, interval):
                yield []

    async def _read(self, after: int) -> Sequence[Event]:
        recent = self._recent
        if recent and recent[0].id <= after + 1:
            behind = recent[-1].id - after
            if behind <= 0:
                return []
            start = len(recent) - behind
            return shorten(islice(recent, start, start + _CHUNK), _CHUNK_DATA)
        if not self._store.is_shared:
            return await self._store.read_events(after, _CHUNK, _CHUNK_DATA)
        reading = self._readings.get(after)
        if reading is None:
            reading = asyncio.ensure_future(self._store.read_events(after, _CHUNK, _CHUNK_DATA))
            self._readings[after] = reading
            reading.add_done_callback(partial(self._forget_reading, after))
        return await asyncio.shield(reading)

    def _forget_reading(self, after: int, reading: "asyncio.Future[list[Event]]") -> None:
        if self._readings.get(after) is reading:
            del self._readings[after]

    def _wake_followers(self) -> None:
        # Later waits get a new Event. A shared one would have to be cleared, and a follower that
        # has not yet seen it set would miss the wake.
        changed, self._changed = self._changed, asyncio.Event()
        self._readings.clear()  # they may have started before the commit
        changed.set()


async def _is_set_within(changed: asyncio.Event, interval: float) -> bool:
    try:
        await asyncio.wait_for(changed.wait(), interval)
    except TimeoutError:
        return False
    return True
