"""Group commit: one thread writes all waiting operations in one transaction on one connection.

Operations that are submitted during a commit wait for the next one, which takes all of them. No
caller has a reply yet, so they may run in any order: they are grouped by verb, by ascending rank.
The writer never waits for more operations: it commits a single one at once. Use `Writer.together`
to put several operations into one commit.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, NamedTuple

from corvo_server.store.commit.postponed import POSTPONED
from corvo_server.store.commit.session import CommitError, Group, Session, Verb
from corvo_server.store.protocol import OutcomeUnknown, StoreOverloaded, StoreUnavailable
from corvo_server.store.records import Commit, NextTimes

log = logging.getLogger(__name__)

_RESERVE = 2
"""Times the limits that work under way may use: acks, fails, heartbeats, services.

So new work is refused first, and the jobs that run can be reported.
"""
_LARGEST_COMMIT = 8 * 1024 * 1024
"""Bytes of operations at which a commit takes no more, so that no commit takes long."""


class Backlog:
    """Counts the operations that were submitted and not answered yet. Use it on the event loop."""

    def __init__(self, max_operations: int, max_bytes: int) -> None:
        self._max_operations = max_operations
        self._max_bytes = max_bytes
        self.operations = 0
        self.bytes = 0
        """Memory of the operations."""

    def add(self, memory: int, *, is_new_work: bool) -> None:
        """Add an operation of `memory` bytes. Raise `StoreOverloaded` if the backlog is full.

        An operation of any size is added if those that wait take no memory.
        """
        share = 1 if is_new_work else _RESERVE
        is_too_large = self.bytes > 0 and self.bytes + memory > share * self._max_bytes
        if is_too_large or self.operations >= share * self._max_operations:
            raise StoreOverloaded(f"{self.operations} writes of {self.bytes:,} bytes are waiting")
        self.operations += 1
        self.bytes += memory

    def remove(self, memory: Collection[int]) -> None:
        """Remove answered operations; `memory` has the bytes of each."""
        self.operations -= len(memory)
        self.bytes -= sum(memory)


class _Operation(NamedTuple):
    verb: Verb
    request: Any
    future: asyncio.Future[Any]
    memory: int


class _Answer(NamedTuple):
    operation: _Operation
    result: Any
    error: Exception | None


class Writer:
    """Runs submitted operations on its thread, which alone uses the writing connection.

    Call the public methods on the event loop.
    """

    def __init__(self, session: Session, backlog: Backlog, *, max_commit: int) -> None:
        self.backlog = backlog
        self._session = session
        self._max_commit = max_commit
        self._inbox: SimpleQueue[list[_Operation] | None] = SimpleQueue()
        self._together: list[_Operation] | None = None
        self._postponed: list[_Operation] = []
        """Operations that the last commit left for the next one. Used by the thread only."""
        self.failure: str | None = None
        """Why the last commit failed, if the database failed; None after the next written one."""
        self._listeners: list[Callable[[Commit], None]] = []
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None  # set by the first `submit`
        self._thread = threading.Thread(target=self._run, name="corvo-writer", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether the writer accepts operations."""
        return not self._is_closed and (self._loop is None or self._thread.is_alive())

    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        """Call `listener` on the event loop after each commit, before its futures resolve."""
        self._listeners.append(listener)

    def notify_listeners(self, commit: Commit) -> None:
        """Call all listeners with a commit of this writer or of another server."""
        for listener in self._listeners:
            try:
                listener(commit)
            # The commit is durable already, so its callers must get their results.
            except Exception:
                log.exception("a commit listener failed")

    def submit(self, verb: Verb, request: Any) -> asyncio.Future[Any]:
        """Submit one operation and return the future of its result.

        Cancelling the future before the commit starts withdraws the operation. Raises
        `StoreOverloaded` if the backlog is full, and `StoreUnavailable` after `close`.
        """
        if self._is_closed:
            raise StoreUnavailable("the server is shutting down")
        memory = 0 if verb.memory is None else verb.memory(request)
        self.backlog.add(memory, is_new_work=verb.is_new_work)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread.start()
        future: asyncio.Future[Any] = self._loop.create_future()
        operation = _Operation(verb, request, future, memory)
        if self._together is None:
            self._inbox.put([operation])
        else:
            self._together.append(operation)
        return future

    @contextmanager
    def together(self) -> Iterator[None]:
        """Put all operations submitted in the `with` block into one commit. Not reentrant."""
        operations: list[_Operation] = []
        self._together = operations
        try:
            yield
        finally:
            self._together = None
            if operations:
                self._inbox.put(operations)

    async def drain(self) -> None:
        """Reject new operations, commit the submitted ones, and end the thread."""
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

    # On the writer's thread

    def _run(self) -> None:
        is_open = True
        while is_open or self._postponed:
            operations, is_open = self._take(is_open=is_open)
            if operations:
                self._commit(operations)

    def _take(self, *, is_open: bool) -> tuple[list[_Operation], bool]:
        """Take the postponed operations and all waiting ones; wait for one if there are none.

        The flag is False after `drain`; then no operation waits. Stop at `max_commit` operations,
        or once they take `_LARGEST_COMMIT` bytes, but never divide those that were submitted
        together.
        """
        operations, self._postponed = self._postponed, []
        memory = 0
        while is_open and len(operations) < self._max_commit and memory < _LARGEST_COMMIT:
            try:
                submitted = self._inbox.get(block=not operations)
            except Empty:
                break
            if submitted is None:
                is_open = False
            else:
                operations += submitted
                memory += sum([operation.memory for operation in submitted])
        return operations, is_open

    def _commit(self, operations: list[_Operation]) -> None:
        """Commit the operations together. If that fails, commit each of them alone.

        So an operation that cannot be committed does not fail the others. If it is unknown whether
        the commit succeeded, every caller gets `OutcomeUnknown`, and none is committed again.
        """
        live: list[_Operation] = []
        withdrawn: list[_Operation] = []
        for operation in operations:
            (withdrawn if operation.future.cancelled() else live).append(operation)
        try:
            answers, commit = self._run_with_retries(live)
        except OutcomeUnknown as error:
            log.error("it is unknown whether %d operations were written: %s", len(live), error)  # noqa: TRY400
            self.failure = str(error)
            answers = [_Answer(operation, None, _copy_of(error)) for operation in live]
            commit = _any_change()
        except Exception as error:  # noqa: BLE001 - every caller must get a result or an exception
            if len(live) > 1 and not isinstance(error, CommitError):
                log.warning("committing %d operations one by one after %r", len(live), error)
                self._send_answers([], None, withdrawn)
                for operation in live:
                    self._commit([operation])
                return
            log.error("%d operations were not written: %r", len(live), error)  # noqa: TRY400
            explain = self._session.explain
            if isinstance(explained := explain(error), StoreUnavailable):
                self.failure = str(explained)
            answers = [_Answer(operation, None, explain(error)) for operation in live]
            commit = None
        self._send_answers(answers, commit, withdrawn)

    def _run_with_retries(self, operations: list[_Operation]) -> tuple[list[_Answer], Commit]:
        """Run the operations in one transaction. Retry it while the session allows.

        An exception means that nothing was written, except `OutcomeUnknown`.
        """
        operations.sort(key=_rank)
        runs = [(verb, list(run)) for verb, run in itertools.groupby(operations, key=_verb)]
        groups = [Group(verb, [operation.request for operation in run]) for verb, run in runs]
        started = perf_counter()
        tries = 1
        while True:
            try:
                results, commit = self._run_once(groups)
                break
            except OutcomeUnknown:
                raise
            except Exception as error:
                if not self._session.may_retry(error, tries):
                    raise
                log.info("retrying a commit of %d operations: %r", len(operations), error)
                tries += 1
        if self.failure is not None and commit.has_written:
            self.failure = None
        commit.seconds = perf_counter() - started
        answers: list[_Answer] = []
        for (_, run), results_of_run in zip(runs, results, strict=True):
            for operation, result in zip(run, results_of_run, strict=True):
                if result is POSTPONED:
                    self._postponed.append(operation)
                else:
                    answers.append(_Answer(operation, result, None))
        commit.operations = len(answers)
        return answers, commit

    def _run_once(self, groups: list[Group]) -> tuple[list[list[Any]], Commit]:
        tx = self._session.begin(groups)
        try:
            results = [verb.apply(tx, requests) for verb, requests in groups]
            return results, self._session.commit(tx)
        except BaseException:
            self._session.rollback()
            raise

    def _send_answers(
        self, answers: list[_Answer], commit: Commit | None, withdrawn: list[_Operation]
    ) -> None:
        """Resolve the futures on the event loop, after the listeners were notified."""
        if self._loop is None or self._loop.is_closed():
            log.warning("dropped %d answers: the event loop is closed", len(answers))
            return
        self._loop.call_soon_threadsafe(self._resolve_futures, answers, commit, withdrawn)

    # On the event loop

    def _resolve_futures(
        self, answers: list[_Answer], commit: Commit | None, withdrawn: list[_Operation]
    ) -> None:
        ended = [answer.operation for answer in answers] + withdrawn
        self.backlog.remove([operation.memory for operation in ended])
        if commit is not None:
            self.notify_listeners(commit)
        for operation, result, error in answers:
            future = operation.future
            if future.done():  # the caller has cancelled it
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)


def _copy_of(error: OutcomeUnknown) -> OutcomeUnknown:
    """Return a new exception for one caller: raising one object in many tasks mixes tracebacks."""
    copied = OutcomeUnknown(str(error))
    copied.__cause__ = error
    return copied


def _any_change() -> Commit:
    """Return a commit that may have changed anything: all services look at the database again."""
    times = NextTimes(0, 0, 0, 0)
    return Commit([], {}, set(), {}, times, has_events=True, has_bulk=True, is_from_other_node=True)


def _rank(operation: _Operation) -> int:
    return operation.verb.rank


def _verb(operation: _Operation) -> Verb:
    return operation.verb
