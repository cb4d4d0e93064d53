"""Lanes of searches: costly searches leave connections for cheap ones, and callers take turns.

Each search first tries: it has a connection for a quarter of a second, which is enough for most. A
search that takes longer is costly. It goes on if a connection for costly searches is free. If not,
it is stopped, waits for its turn, and then starts again. So a cheap search never waits for a costly
one to end, only for tries.

Filters that read documents are costly more often. They try on a connection of their own, or start
as costly searches at once if a connection is free.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.search.search import SearchLoad

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")

_INDEX_TRIES, _DOCUMENT_TRIES, _COSTLY = 2, 1, 2
CONNECTIONS = _INDEX_TRIES + _DOCUMENT_TRIES + _COSTLY
"""Number of connections that searches need."""
_TRY_SECONDS = 0.25
"""Seconds after which a search counts as costly."""
_WAIT_FACTOR = 2
"""Maximum wait for a costly search's turn, as a multiple of the time limit of a search.

A connection is free after one time limit at most, so that each of some callers gets a turn.
"""


class Limited(Protocol[C_co]):
    """A pool of connections, as `store.reads.Pool`, whose reads have a time limit."""

    async def run_within(
        self,
        seconds: float,
        read: Callable[Concatenate[C_co, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `read`; stop it after `seconds`, or when the caller is cancelled."""
        ...


class Lane:
    """Connections that callers take in turn.

    The caller with the fewest connections is next. Of several ones, it is the caller that waits or
    has had its last turn for the longest time.
    """

    def __init__(self, connections: int) -> None:
        self._free = connections
        self._taken: Counter[object] = Counter()
        self._waiting: OrderedDict[object, deque[asyncio.Future[None]]] = OrderedDict()
        """Waiting takes of each caller. The callers are in the order of their turns."""

    @property
    def taken(self) -> int:
        """Number of connections that are taken."""
        return self._taken.total()

    @property
    def waiting(self) -> int:
        """Number of takes that wait."""
        return sum(map(len, self._waiting.values()))

    def take_now(self, caller: object) -> bool:
        """Take a connection if one is free. Return whether it was."""
        if self._free == 0:
            return False
        self._free -= 1
        self._taken[caller] += 1
        return True

    async def take(self, caller: object, seconds: float) -> None:
        """Wait for a connection. Raises TimeoutError after `seconds`."""
        if self.take_now(caller):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give_back(caller)
            else:
                self._remove(caller, turn)
            raise

    def give_back(self, caller: object) -> None:
        """Give a connection back, which goes to the next caller."""
        self._free += 1
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]
        if caller in self._waiting:  # it has had its turn
            self._waiting.move_to_end(caller)
        while self._waiting and self._free:
            following = min(self._waiting, key=self._taken.__getitem__)  # of equal ones the first
            turn = self._waiting[following][0]
            self._remove(following, turn)
            if following in self._waiting:
                self._waiting.move_to_end(following)
            if not turn.done():  # it is cancelled if its caller left in this iteration of the loop
                self.take_now(following)
                turn.set_result(None)

    def _remove(self, caller: object, turn: "asyncio.Future[None]") -> None:
        turns = self._waiting.get(caller)
        if turns and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[caller]


class Lanes(Generic[C]):
    """Runs searches on the connections of a pool, which must have `CONNECTIONS` of them."""

    def __init__(self, pool: Limited[C]) -> None:
        self._pool = pool
        self._index_tries = Lane(_INDEX_TRIES)
        self._document_tries = Lane(_DOCUMENT_TRIES)
        self._costly = Lane(_COSTLY)
        self._refused = 0

    @property
    def load(self) -> SearchLoad:
        """The number of searches that run, wait, and were refused."""
        lanes = (self._index_tries, self._document_tries, self._costly)
        return SearchLoad(self._costly.taken, sum(lane.waiting for lane in lanes), self._refused)

    async def run(
        self,
        read: Callable[Concatenate[C, P], T],
        seconds: float,
        caller: str | None,
        reads_documents: bool,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return `read(connection, *args, **kwargs)`.

        Searches of the same `caller` share its turns; None stands for a caller of its own.
        `reads_documents` says that the search is likely to be costly.

        Raises `SearchTooSlow` if the read took longer than `seconds`, and `StoreUnavailable` if it
        had to wait for too long.
        """
        who: object = object() if caller is None else caller
        if not (reads_documents and self._costly.take_now(who)):
            tries = self._document_tries if reads_documents else self._index_tries
            await self._take(tries, who, seconds)
            turn = _Turn(read, tries, who, self._costly, min(_TRY_SECONDS, seconds / 4))
            try:
                return await turn.run(self._pool, seconds, *args, **kwargs)
            except _Costly:
                await self._take(self._costly, who, seconds * _WAIT_FACTOR)
        return await _Turn(read, self._costly, who).run(self._pool, seconds, *args, **kwargs)

    async def _take(self, lane: Lane, who: object, seconds: float) -> None:
        try:
            await lane.take(who, seconds)
        except TimeoutError:
            self._refused += 1
            raise StoreUnavailable(
                f"other searches kept all search connections busy for {seconds:g} seconds"
            ) from None


class _Turn(Generic[C, P, T]):
    """One run of a read on a connection that its caller has taken from a lane.

    The connection goes back when the thread of the read has ended: a stopped read ends later than
    its caller.
    """

    def __init__(
        self,
        read: Callable[Concatenate[C, P], T],
        lane: Lane,
        who: object,
        costly: Lane | None = None,
        try_seconds: float = 0,
    ) -> None:
        """After `try_seconds` the read continues in the lane `costly`, or is stopped."""
        self._read = read
        self._lane = lane
        self._who = who
        self._costly = costly
        self._try_seconds = try_seconds
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._has_begun = self._has_ended = False

    async def run(
        self, pool: Limited[C], seconds: float, /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run the read. Raises `_Costly` if it was stopped after its try."""
        overdue: asyncio.TimerHandle | None = None

        def begin() -> None:
            nonlocal overdue
            if self._costly is not None:
                overdue = self._loop.call_later(self._try_seconds, self._move, self._costly)

        def work(connection: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
            self._has_begun = True
            self._loop.call_soon_threadsafe(begin)
            try:
                return self._read(connection, *args, **kwargs)
            finally:
                self._loop.call_soon_threadsafe(self._end)

        try:
            async with self._limit:
                return await pool.run_within(seconds, work, *args, **kwargs)
        except TimeoutError:
            raise _Costly from None
        finally:
            self._costly = None
            if overdue is not None:
                overdue.cancel()
            if not self._has_begun:  # and never will
                self._end()

    def _move(self, costly: Lane) -> None:
        if self._has_ended:
            return
        if costly.take_now(self._who):
            self._lane.give_back(self._who)
            self._lane = costly
        else:
            self._limit.reschedule(self._loop.time())

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._lane.give_back(self._who)


class _Costly(Exception):
    """Raised when a search was stopped because it is costly and no connection for those is free."""
