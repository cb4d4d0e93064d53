"""The writer's side: what front-ends ask of the engine, and their answers."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any, cast

from corvo_schema import FetchRequest
from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.processes.counts import RequestCounts
from corvo_server.processes.link import Link
from corvo_server.processes.wire import (
    AckCall,
    AskCounts,
    Call,
    CallFailed,
    Counts,
    EnqueueAnswer,
    EnqueueCall,
    FailCall,
    FetchAnswer,
    FetchCall,
    HeartbeatCall,
    Moved,
    OutcomesAnswer,
    Refused,
    ReleaseCall,
    Withdraw,
)
from corvo_server.store.protocol import StoreError
from corvo_server.store.records import Enqueued, LeasedJob, Outcome, Refusal

log = logging.getLogger(__name__)

_COUNTS_WITHIN = 1.0
"""Seconds that a front-end has to tell its counts; else those it told last are taken."""


class Core:
    """Answers the calls of all front-ends that are linked."""

    def __init__(self, engine: Engine) -> None:
        # As they are now: whoever traces the engine later traces these verbs at the front-ends.
        self._jobs = engine.jobs
        self._fetch = engine.worker.fetch
        self._ack = engine.worker.ack
        self._fail = engine.worker.fail
        self._release = engine.worker.release
        self._heartbeat = engine.worker.heartbeat
        self._give_back = engine.worker.give_back
        self._under_way: dict[Link, dict[int, asyncio.Future[Any]]] = {}
        self._counts = RequestCounts()
        self._awaited: dict[Link, asyncio.Future[None]] = {}
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        engine.metrics.take_requests_from(self._counts, self._gather)

    def accept(self) -> Link:
        """The protocol of a new connection."""
        link = Link(Call, self._take, self._lose)
        self._under_way[link] = {}
        self._all_gone.clear()
        return link

    async def wait_until_alone(self, seconds: float) -> int:
        """Wait until all front-ends have hung up, within a bound; how many have not."""
        try:
            await asyncio.wait_for(self._all_gone.wait(), seconds)
        except TimeoutError:
            for link in self._under_way:
                link.close()
        return len(self._under_way)

    def _lose(self, link: Link) -> None:
        for future in list(self._under_way.pop(link).values()):
            future.cancel()
        self._counts.keep(link)
        if (awaited := self._awaited.pop(link, None)) is not None and not awaited.done():
            awaited.set_result(None)
        if not self._under_way:
            self._all_gone.set()

    def _take(self, link: Link, call: Call) -> None:
        match call:
            case Withdraw():
                future = self._under_way[link].get(call.number)
                if future is not None:
                    future.cancel()
            case Counts():
                self._counts.note(link, call.samples)
                if (awaited := self._awaited.pop(link, None)) is not None and not awaited.done():
                    awaited.set_result(None)
            case _:
                try:
                    future = asyncio.ensure_future(self._begin(call))
                except Exception as error:  # noqa: BLE001 - told to the caller
                    link.send(_failure(call.number, error))
                    return
                self._under_way[link][call.number] = future
                future.add_done_callback(partial(self._answer, link, call))

    def _begin(self, call: Any) -> Awaitable[Any]:
        match call:
            case EnqueueCall():
                return self._jobs.submit(_with_rules(call))
            case FetchCall():  # which has the fields of a request
                return self._fetch(cast("FetchRequest", call), call.count)
            case AckCall():
                return self._ack(call.acks, call.at)
            case FailCall():
                return self._fail(call.failures)
            case ReleaseCall():
                return self._release(call.releases, call.at)
            case HeartbeatCall():
                return self._heartbeat(call.beats, call.worker_id)
        raise AssertionError(call)

    def _answer(self, link: Link, call: Any, future: "asyncio.Future[Any]") -> None:
        under_way = self._under_way.get(link)
        if under_way is not None:
            under_way.pop(call.number, None)
        if future.cancelled():
            return
        error = future.exception()
        if under_way is None or link.is_closing:
            if error is None and isinstance(call, FetchCall):
                self._give_back(future.result())
            return
        if error is not None:
            link.send(_failure(call.number, error))
        else:
            link.send(_success(call, future.result()))

    async def _gather(self) -> None:
        """Have the front-ends tell their counts."""
        loop = asyncio.get_running_loop()
        for link in self._under_way:
            if not link.is_closing and link not in self._awaited:
                self._awaited[link] = loop.create_future()
                link.send(AskCounts())
        if self._awaited:
            await asyncio.wait(list(self._awaited.values()), timeout=_COUNTS_WITHIN)


def _with_rules(call: EnqueueCall) -> Any:
    """The request, its rules bound to the jobs that they are about."""
    for job in call.request.jobs:
        if job.on_conflict is not None:
            job.on_conflict = partial(job.on_conflict, new=job)
    return call.request


def _success(call: Any, result: Any) -> EnqueueAnswer | FetchAnswer | OutcomesAnswer | CallFailed:
    if isinstance(call, EnqueueCall):
        enqueued: list[Enqueued] | Refusal = result
        if isinstance(enqueued, Refusal):
            return _failure(call.number, CallError.of(enqueued))
        return EnqueueAnswer(call.number, enqueued)
    if isinstance(call, FetchCall):
        jobs: list[LeasedJob] = result
        return FetchAnswer(call.number, jobs)
    outcomes: Sequence[Outcome] = result
    return OutcomesAnswer(
        call.number,
        [
            Refused(outcome.code, outcome.message, outcome.state)
            if isinstance(outcome, Refusal)
            else Moved(outcome.job)
            for outcome in outcomes
        ],
    )


def _failure(number: int, error: BaseException) -> CallFailed:
    if isinstance(error, CallError):
        details = list(error.details)
        return CallFailed(
            number, "CallError", error.message, error.code, details, error.retry_after
        )
    if not isinstance(error, StoreError):
        log.error("a call of a front-end failed", exc_info=error)
    return CallFailed(number, type(error).__name__, str(error))
