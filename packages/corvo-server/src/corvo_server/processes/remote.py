"""A front-end's side: the verbs that jobs pass through, asked of the writer."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from corvo_schema import FetchRequest
from corvo_server.engine.errors import AnswerLost, CallError
from corvo_server.engine.worker import Ack, Fail, Heartbeat, Release
from corvo_server.processes.gone import writer_gone
from corvo_server.processes.link import Link
from corvo_server.processes.wire import (
    AckCall,
    Answer,
    AskCounts,
    CallFailed,
    Counts,
    EnqueueAnswer,
    EnqueueCall,
    FailCall,
    FetchAnswer,
    FetchCall,
    HeartbeatCall,
    OutcomesAnswer,
    Refused,
    ReleaseCall,
    Sample,
    Withdraw,
)
from corvo_server.store.protocol import StoreOverloaded, StoreUnavailable
from corvo_server.store.records import Enqueue, Enqueued, LeasedJob, Refusal, Unchanged

log = logging.getLogger(__name__)

_TRY_AGAIN = 0.05
"""Seconds from one attempt to reach the writer to the next."""

_STORE_ERRORS = {error.__name__: error for error in (StoreOverloaded, StoreUnavailable)}

WorkerOutcome = Unchanged | Refusal
"""Of a transition, as far as a reply needs it: the job after it, or why not."""


class WriterFailedError(Exception):
    """The writer failed on a call; its log says why."""


class Writer:
    """The writer process, as a front-end reaches it. Needs a running event loop."""

    def __init__(self, path: str, count: Callable[[], list[Sample]]) -> None:
        """`path` is of the writer's socket; `count` tells what this front-end has answered."""
        self._path = path
        self._count = count
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._link: Link | None = None
        self._lost = asyncio.Event()

    async def stay_linked(self, on_linked: Callable[[], None]) -> None:
        """Link, and again whenever the writer was gone, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._lost.clear()
            try:
                _, self._link = await loop.create_unix_connection(self._new_link, self._path)
            except OSError:
                await asyncio.sleep(_TRY_AGAIN)
                continue
            on_linked()
            await self._lost.wait()
            log.warning("the writer is gone: requests get 503 until it is back")

    def unlink(self) -> None:
        """Tell the counts a last time, and hang up."""
        if self._link is not None:
            self._link.send(Counts(self._count()))
            self._link.close()

    def together(self) -> AbstractContextManager[None]:
        """As `Store.together`; but fetches wait at the writer, which sees to it itself."""
        return nullcontext()

    def enqueue(self, request: Enqueue) -> "asyncio.Future[list[Enqueued] | Refusal]":
        """Store jobs, as `Store.enqueue` does."""
        return self.call(EnqueueCall, request)

    def give_back(self, jobs: Sequence[LeasedJob]) -> None:
        """Return jobs that cannot be handed out. If the writer is gone, their leases end."""
        if jobs and self._link is not None:
            releases = [Release(job.head.id, job.head.lease_token, 0, None) for job in jobs]
            self._link.send(ReleaseCall(next(self._numbers), releases, ""))

    def call(self, make: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        """Make a call; cancelling the future withdraws it.

        Raises `CallError` while the writer is gone; the future has `AnswerLost` when it goes.
        """
        link = self._link
        if link is None or link.is_closing:
            raise writer_gone()
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        link.send(make(number, *arguments))
        future.add_done_callback(lambda future: self._withdraw(number, future))
        return future

    def _withdraw(self, number: int, future: "asyncio.Future[Any]") -> None:
        is_waiting = self._waiting.pop(number, None) is not None
        if is_waiting and future.cancelled() and self._link is not None:
            self._link.send(Withdraw(number))

    # What comes back

    def _new_link(self) -> Link:
        return Link(Answer, self._take, self._lose)

    def _lose(self, _link: Link) -> None:
        self._link = None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(AnswerLost("the writer ended before it answered"))
        self._lost.set()

    def _take(self, link: Link, answer: Answer) -> None:
        if isinstance(answer, AskCounts):
            link.send(Counts(self._count()))
            return
        future = self._waiting.pop(answer.number, None)
        if future is None or future.done():
            if isinstance(answer, FetchAnswer):  # the caller went away while it was on its way
                self.give_back(answer.jobs)
            return
        match answer:
            case EnqueueAnswer() | FetchAnswer():
                future.set_result(answer.jobs)
            case OutcomesAnswer():
                future.set_result(
                    [
                        Refusal(outcome.code, outcome.message, outcome.state)
                        if isinstance(outcome, Refused)
                        else Unchanged(outcome.job)
                        for outcome in answer.outcomes
                    ]
                )
            case CallFailed():
                future.set_exception(_error_of(answer))


class RemoteWorker:
    """The verbs of `engine.Worker`, done by the writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._fetches: set[asyncio.Future[list[LeasedJob]]] = set()
        self._is_closing = False

    @property
    def waiting(self) -> int:
        """How many fetches of this front-end are under way."""
        return len(self._fetches)

    def send_home(self) -> None:
        """Answer waiting fetches with nothing; later ones get what is there, and do not wait."""
        self._is_closing = True
        for fetch in list(self._fetches):
            if not fetch.done():
                fetch.cancel()

    async def fetch(self, request: FetchRequest, count: int) -> list[LeasedJob]:
        """As `engine.Worker.fetch`: when the caller is cancelled, its jobs are given back."""
        fetched: asyncio.Future[list[LeasedJob]] = self._writer.call(
            FetchCall,
            request.queues,
            request.worker_id,
            request.hostname,
            0 if self._is_closing else request.timeout,
            request.lease_duration,
            count,
        )
        self._fetches.add(fetched)
        try:
            return await fetched
        except asyncio.CancelledError:
            if self._is_sent_home(fetched):
                return []
            if not fetched.cancelled() and fetched.exception() is None:  # the client is gone
                self._writer.give_back(fetched.result())
            raise
        finally:
            self._fetches.discard(fetched)

    def _is_sent_home(self, fetched: "asyncio.Future[list[LeasedJob]]") -> bool:
        """Whether it was not the caller that was cancelled."""
        task = asyncio.current_task()
        return self._is_closing and fetched.cancelled() and not (task and task.cancelling())

    def ack(self, acks: Sequence[Ack], at: str = "") -> "asyncio.Future[list[WorkerOutcome]]":
        """As `engine.Worker.ack`."""
        return self._writer.call(AckCall, acks, at)

    def fail(self, failures: Sequence[Fail]) -> "asyncio.Future[list[WorkerOutcome]]":
        """As `engine.Worker.fail`."""
        return self._writer.call(FailCall, failures)

    def release(
        self, releases: Sequence[Release], at: str = ""
    ) -> "asyncio.Future[list[WorkerOutcome]]":
        """As `engine.Worker.release`."""
        return self._writer.call(ReleaseCall, releases, at)

    def heartbeat(
        self, beats: Sequence[Heartbeat], worker_id: str | None = None
    ) -> "asyncio.Future[list[WorkerOutcome]]":
        """As `engine.Worker.heartbeat`."""
        return self._writer.call(HeartbeatCall, beats, worker_id)

    def give_back(self, jobs: Sequence[LeasedJob]) -> None:
        """As `engine.Worker.give_back`."""
        self._writer.give_back(jobs)


def _error_of(failed: CallFailed) -> Exception:
    if failed.code is not None:
        return CallError(
            failed.code, failed.message, failed.details, retry_after=failed.retry_after
        )
    kind = _STORE_ERRORS.get(failed.kind)
    return kind(failed.message) if kind else WriterFailedError(f"{failed.kind}: {failed.message}")
