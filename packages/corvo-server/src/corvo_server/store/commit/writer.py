"""Group commit: one thread, one connection, one transaction for all that arrived meanwhile.

While a transaction is being written, submitted operations gather; the next one takes them all. None
of them has been answered yet, so any order among them is a legal history: they run grouped by verb,
in the order of the verbs' ranks. Nothing lingers: a lone operation is committed at once, so that
one which follows it a moment later finds the commit begun, unless they are submitted together.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.protocol import StoreOverloaded, StoreUnavailable
from corvo_server.store.records import Commit

log = logging.getLogger(__name__)


class Verb(NamedTuple):
    """A kind of write: `apply` does all requests of that kind in a commit, an answer for each."""

    rank: int
    apply: Callable[[Transaction, list[Any]], list[Any]]
    prefetch: Callable[[Prefetch, list[Any]], None] | None = None
    """Says what `apply` will ask its tables for, as far as the requests tell."""


class Group(NamedTuple):
    """The requests of one verb in a commit."""

    verb: Verb
    requests: list[Any]


class CommitError(Exception):
    """The transaction as a whole could not be begun or committed: the fault of nothing in it."""


class Session(Protocol):
    """The writing connection of one engine. Used by one thread at a time."""

    def begin(self, groups: list[Group]) -> Transaction:
        """Open a transaction in which these requests will be dealt with, in this order."""
        ...

    def commit(self, tx: Transaction) -> Commit:
        """Make durable what `tx` wrote; what it brought about."""
        ...

    def rollback(self) -> None:
        """Leave nothing of the open transaction, if there is one. Does not raise."""
        ...

    def may_retry(self, error: Exception, tries: int) -> bool:
        """Whether the same requests may do better in another transaction after `tries` of them.

        May wait before it says yes. Only true where it is sure that nothing was written.
        """
        ...

    def explain(self, error: Exception) -> Exception:
        """An error as its caller gets it, a new one each time.

        `StoreUnavailable` where the database itself failed; as it is where it is a bug.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class _Operation(NamedTuple):
    verb: Verb
    request: Any
    future: asyncio.Future[Any]


class _Answer(NamedTuple):
    operation: _Operation
    result: Any
    error: Exception | None


class Writer:
    """Owns the writing connection. All methods but the thread's are for the event loop."""

    def __init__(self, session: Session, *, max_backlog: int, max_commit: int) -> None:
        self._session = session
        self._max_backlog = max_backlog
        self._max_commit = max_commit
        self._inbox: SimpleQueue[list[_Operation] | None] = SimpleQueue()
        self._together: list[_Operation] | None = None
        self._backlog = 0
        self._listeners: list[Callable[[Commit], None]] = []
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None  # known from the first submit on
        self._thread = threading.Thread(target=self._run, name="corvo-writer", daemon=True)

    @property
    def backlog(self) -> int:
        """Operations submitted and not answered yet."""
        return self._backlog

    @property
    def is_running(self) -> bool:
        """Whether the thread takes work."""
        return not self._is_closed and (self._loop is None or self._thread.is_alive())

    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        """Call `listener` on the event loop after each commit, before its answers."""
        self._listeners.append(listener)

    def tell(self, commit: Commit) -> None:
        """Tell the listeners of a commit, whoever made it."""
        for listener in self._listeners:
            try:
                listener(commit)
            except Exception:  # what was written was written: those who wait must hear of it
                log.exception("a listener to commits failed")

    def submit(self, verb: Verb, request: Any) -> asyncio.Future[Any]:
        """Queue one operation. Cancelling the future before its commit starts withdraws it.

        Raises `StoreOverloaded` when too many wait, `StoreUnavailable` after `close`.
        """
        if self._is_closed:
            raise StoreUnavailable("the server is shutting down")
        if self._backlog >= self._max_backlog:
            raise StoreOverloaded(f"{self._backlog} writes are waiting")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread.start()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._backlog += 1
        operation = _Operation(verb, request, future)
        if self._together is None:
            self._inbox.put([operation])
        else:
            self._together.append(operation)
        return future

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all operations that are submitted meanwhile go into one commit. Not to be nested."""
        operations: list[_Operation] = []
        self._together = operations
        try:
            yield
        finally:
            self._together = None
            if operations:
                self._inbox.put(operations)

    async def drain(self) -> None:
        """Take nothing more, commit what was submitted, and end the thread."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._loop is not None:
            self._inbox.put(None)
            await asyncio.to_thread(self._thread.join)

    async def close(self) -> None:
        """Drain, then close the session."""
        await self.drain()
        await asyncio.to_thread(self._session.close)

    # The writer's thread

    def _run(self) -> None:
        is_open = True
        while is_open:
            operations, is_open = self._take()
            if operations:
                self._commit(operations)

    def _take(self) -> tuple[list[_Operation], bool]:
        """Wait for an operation, then take what is there. The flag is False after `close`.

        It is enough when there are `max_commit`; what was submitted together is not divided.
        """
        operations: list[_Operation] = []
        next_ones = self._inbox.get()
        while next_ones is not None:
            operations += next_ones
            if len(operations) >= self._max_commit:
                return operations, True
            try:
                next_ones = self._inbox.get_nowait()
            except Empty:
                return operations, True
        return operations, False

    def _commit(self, operations: list[_Operation]) -> None:
        """Commit the operations together or, if that fails, one by one to find the culprit."""
        live = [operation for operation in operations if not operation.future.cancelled()]
        withdrawn = len(operations) - len(live)
        try:
            answers, commit = self._attempt(live)
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must be answered
            if len(live) > 1 and not isinstance(error, CommitError):
                log.warning("a commit of %d operations failed, trying each: %r", len(live), error)
                self._hand_over([], None, withdrawn)
                for operation in live:
                    self._commit([operation])
                return
            log.error("nothing of a commit of %d was written: %r", len(live), error)  # noqa: TRY400
            explain = self._session.explain
            answers = [_Answer(operation, None, explain(error)) for operation in live]
            commit = None
        self._hand_over(answers, commit, withdrawn)

    def _attempt(self, operations: list[_Operation]) -> tuple[list[_Answer], Commit]:
        """Run the operations in one transaction, and in another where that may help.

        On any exception nothing of them remains.
        """
        operations.sort(key=_rank)
        runs = [(verb, list(run)) for verb, run in itertools.groupby(operations, key=_verb)]
        groups = [Group(verb, [operation.request for operation in run]) for verb, run in runs]
        started = perf_counter()
        tries = 1
        while True:
            try:
                results, commit = self._try(groups)
                break
            except Exception as error:
                if not self._session.may_retry(error, tries):
                    raise
                log.info("a commit of %d operations is tried again: %r", len(operations), error)
                tries += 1
        commit.operations = len(operations)
        commit.seconds = perf_counter() - started
        answers = [
            _Answer(operation, result, None)
            for (_, run), same in zip(runs, results, strict=True)
            for operation, result in zip(run, same, strict=True)
        ]
        return answers, commit

    def _try(self, groups: list[Group]) -> tuple[list[list[Any]], Commit]:
        tx = self._session.begin(groups)
        try:
            results = [verb.apply(tx, requests) for verb, requests in groups]
            return results, self._session.commit(tx)
        except BaseException:
            self._session.rollback()
            raise

    def _hand_over(self, answers: list[_Answer], commit: Commit | None, withdrawn: int) -> None:
        if self._loop is None or self._loop.is_closed():  # nobody is left to be told
            log.warning("%d answers came after the end of the event loop", len(answers))
            return
        self._loop.call_soon_threadsafe(self._deliver, answers, commit, withdrawn)

    # The event loop again

    def _deliver(self, answers: list[_Answer], commit: Commit | None, withdrawn: int) -> None:
        self._backlog -= len(answers) + withdrawn
        if commit is not None:
            self.tell(commit)
        for (_, _, future), result, error in answers:
            if future.done():  # the caller went away
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)


def _rank(operation: _Operation) -> int:
    return operation.verb.rank


def _verb(operation: _Operation) -> Verb:
    return operation.verb
