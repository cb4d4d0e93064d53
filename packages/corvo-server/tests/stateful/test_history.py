"""Histories of calls, made up by Hypothesis, against an independent model of what is promised.

`CORVO_STATEFUL_EXAMPLES` sets how many; `CORVO_STATEFUL_STEPS`, how long each is.
"""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from corvo_schema import ErrorCode, new_job_id
from corvo_schema.states import ALTERNATIVES, TRANSITIONS, EventType, JobState, Priority
from corvo_server.engine.errors import CallError
from corvo_server.store.records import Enqueued, LeasedJob, Outcome
from server_support.bench import Bench, make_job, turns
from server_support.clock import ManualClock
from server_support.kits import NewKit
from server_support.model import Model, check_head, check_outcome

EXAMPLES = int(os.environ.get("CORVO_STATEFUL_EXAMPLES", "40"))
STEPS = int(os.environ.get("CORVO_STATEFUL_STEPS", "30"))
CALLBACKS = "callbacks"
QUEUES = ["a", "b", "c", CALLBACKS]


def tuple_of(value: Any) -> tuple[Any, ...]:
    return (value,)


some = st.integers(0, 1_000_000)
"""Picks one of what there is by then."""


@dataclass(frozen=True)
class NewJob:
    """A job to enqueue."""

    queue: str
    priority: int
    delay: int | None
    expire_after: int | None
    max_retries: int
    backoff: int
    unique_key: str | None
    unique_period: int
    given_id: str | None

    def request(self, now: int) -> Any:
        """The same as a call's arguments."""
        fields: dict[str, Any] = {
            "priority": self.priority,
            "max_retries": self.max_retries,
            "retry_backoff": "fixed" if self.backoff else "none",
            "retry_base_delay": f"{self.backoff}ms",
            "unique_key": self.unique_key,
            "unique_period": self.unique_period / 1000,
            "job_id": self.given_id,
        }
        if self.expire_after is not None:
            fields["expire_after"] = f"{self.expire_after}ms"
        at = None if self.delay is None else now + self.delay
        return make_job(self.queue, at=at, **fields)


new_jobs = st.builds(
    NewJob,
    queue=st.sampled_from(["a", "b"]),
    priority=st.sampled_from([2, 2, 1, 0]),
    delay=st.sampled_from([None, None, None, -1000, 0, 1, 5_000, 60_000]),
    expire_after=st.sampled_from([None, None, None, 0, 10_000, 100_000]),
    max_retries=st.sampled_from([3, 0, 1, 2]),
    backoff=st.sampled_from([0, 10_000]),
    unique_key=st.sampled_from([None, None, "k", "l"]),
    unique_period=st.sampled_from([3_600_000, 1, 5_000]),
    given_id=st.none() | st.builds(new_job_id),
)
tokens = st.sampled_from(["own", "own", "own", "none", "wrong"])
spans = st.sampled_from([1, 1_000, 5_000, 10_000, 60_000])


@dataclass(frozen=True)
class Enqueue:
    jobs: tuple[NewJob, ...]
    has_batch: bool


@dataclass(frozen=True)
class Again:
    """An enqueue that is sent again, or one that has the id of a job that there was or is."""

    which: int


@dataclass(frozen=True)
class Fetch:
    queues: tuple[str, ...]
    count: int
    lease: int


@dataclass(frozen=True)
class Report:
    verb: str
    which: int
    token: str
    may_retry: bool
    is_cancel: bool
    delay: int


@dataclass(frozen=True)
class Steer:
    verb: str
    which: int
    more: tuple[Any, ...] = ()
    """To which queue, which priority."""


enqueues = st.builds(
    Enqueue, jobs=st.lists(new_jobs, min_size=1, max_size=3).map(tuple), has_batch=st.booleans()
)
repeatable = st.builds(
    Enqueue,
    jobs=st.lists(new_jobs.filter(lambda job: job.given_id), min_size=1, max_size=3).map(tuple),
    has_batch=st.just(True),
)
fetches = st.builds(
    Fetch,
    queues=st.sampled_from([("a",), ("b", "a"), tuple(QUEUES), (CALLBACKS,)]),
    count=st.sampled_from([1, 1, 2, 10]),
    lease=st.sampled_from([5_000, 60_000]),
)
reports = st.builds(
    Report,
    verb=st.sampled_from(["ack", "fail", "fail", "release", "heartbeat"]),
    which=some,
    token=tokens,
    may_retry=st.sampled_from([True, True, False]),
    is_cancel=st.sampled_from([False, False, False, True]),
    delay=st.sampled_from([0, 0, 5_000]),
)
steers = st.one_of(
    st.builds(Steer, verb=st.sampled_from(["cancel", "retry", "requeue", "delete"]), which=some),
    st.builds(Steer, st.just("move"), some, st.sampled_from([("a",), ("b",), ("c",)])),
    st.builds(Steer, st.just("change_priority"), some, st.sampled_from([*Priority]).map(tuple_of)),
)
agains = st.builds(Again, which=some)
calls = st.one_of(enqueues, repeatable, agains, fetches, reports, steers)
RANKS = {Enqueue: 0, Again: 0, Report: 1, Steer: 1, Fetch: 2}
"""In which order the calls of one commit take effect."""


class History(RuleBasedStateMachine):
    """One server's life. Every call's answer is held against the model's."""

    def __init__(self, new_kit: NewKit) -> None:
        super().__init__()
        self._ending = ExitStack()
        self._loop = asyncio.new_event_loop()
        self._clock = ManualClock()
        kit = self._ending.enter_context(new_kit())
        self._bench = self._run(self._open(kit))
        self._model = Model()
        self._model.now = self._clock.now
        self._leases: list[LeasedJob] = []
        self._sent: list[Enqueue] = []

    async def _open(self, kit: Any) -> Bench:
        return Bench(kit, kit.open(), self._clock)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def teardown(self) -> None:
        try:
            self._run(self._check_timelines())
            self._run(self._bench.check_counters())
        finally:
            self._run(self._bench.store.close())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            self._ending.close()

    # Calls, one by one or several in one commit

    @rule(call=calls)
    def make(self, call: Any) -> None:
        self._make([call])

    @rule(call=enqueues)
    def enqueue(self, call: Enqueue) -> None:
        self._make([call])

    @rule(call=fetches)
    def fetch(self, call: Fetch) -> None:
        self._make([call])

    @rule(call=reports)
    def report(self, call: Report) -> None:
        self._make([call])

    @rule(call=steers)
    def steer(self, call: Steer) -> None:
        self._make([call])

    @rule(together=st.lists(calls, min_size=2, max_size=6))
    def make_in_one_commit(self, together: list[Any]) -> None:
        self._make(together)

    def _make(self, together: Sequence[Any]) -> None:
        self._run(self._make_all(together))

    async def _make_all(self, together: Sequence[Any]) -> None:
        made = [self._aim(call) for call in together]
        with self._bench.kit.hold_commits(self._bench.store):
            tasks = [asyncio.ensure_future(self._call(call, aim)) for call, aim in made]
            await turns()
        answers = await asyncio.gather(*tasks)
        in_order = sorted(zip(made, answers, strict=True), key=lambda item: RANKS[type(item[0][0])])
        for (call, aim), answer in in_order:
            self._expect(call, aim, answer)
        await self._settle_batches()

    def _aim(self, call: Any) -> tuple[Any, Any]:
        """A call, and which job or lease it is about."""
        model = self._model
        match call:
            case Enqueue():
                if all(job.given_id for job in call.jobs):
                    self._sent.append(call)
            case Again() if call.which % 2 and self._sent:
                return self._sent[call.which % len(self._sent)], None
            case Again():
                known = [*model.jobs, *sorted(model.gone)]
                return call, known[call.which % len(known)] if known else new_job_id()
            case Report() if self._leases:
                # The newest leases are the most interesting.
                return call, self._leases[-1 - call.which % min(len(self._leases), 8)]
            case Steer():
                is_retry = call.verb in {"retry", "requeue"}
                fit = [job.id for job in model.jobs.values() if job.state.is_finished == is_retry]
                known = fit if fit and call.which % 4 else [*model.jobs, *sorted(model.gone)]
                return call, known[call.which % len(known)] if known else new_job_id()
        return call, None

    async def _call(self, call: Any, aim: Any) -> Any:
        bench = self._bench
        match call:
            case Enqueue():
                jobs = [job.request(self._clock.now) for job in call.jobs]
                callback = CALLBACKS if call.has_batch else None
                return await bench.enqueue_batch(*jobs, callback=callback)
            case Again():
                return await bench.try_enqueue("a", job_id=aim)
            case Fetch():
                return await bench.fetch(*call.queues, count=call.count, lease=call.lease / 1000)
            case Report():
                return None if aim is None else await self._report(call, aim)
            case Steer():
                try:
                    await getattr(bench.engine.jobs, call.verb)(aim, *call.more)
                except CallError as error:
                    return error.code
        return None

    async def _report(self, call: Report, lease: LeasedJob) -> Outcome:
        bench = self._bench
        token = {"own": lease.head.lease_token, "none": None, "wrong": "wrong"}[call.token]
        match call.verb:
            case "ack":
                return await bench.ack(lease, token=token)
            case "fail":
                return await bench.fail(
                    lease, token=token, retry=call.may_retry, cancel=call.is_cancel
                )
            case "release":
                return await bench.release(lease, token=token, delay=call.delay)
            case _:
                return await bench.heartbeat(lease, token=token)

    # What each answer should be

    def _expect(self, call: Any, aim: Any, answer: Any) -> None:
        match call:
            case Enqueue():
                self._expect_enqueued(call, *answer)
            case Again():
                self._expect_one(aim, "a", answer, priority=2)
            case Fetch():
                self._expect_fetched(call, answer)
            case Report() if aim is not None:
                self._expect_reported(call, aim, answer)
            case Steer():
                assert getattr(self._model, call.verb)(aim, *call.more) == answer

    def _expect_enqueued(
        self, call: Enqueue, results: list[Enqueued], batch_id: str | None
    ) -> None:
        model = self._model
        before = set(model.jobs)
        earlier = [
            model.jobs[result.job_id].batch
            for job, result in zip(call.jobs, results, strict=True)
            if job.given_id in model.jobs
        ]
        for job, result in zip(call.jobs, results, strict=True):
            self._expect_one(
                job.given_id,
                job.queue,
                result,
                priority=job.priority,
                scheduled_at=None if job.delay is None else model.now + job.delay,
                expire_after=job.expire_after,
                max_retries=job.max_retries,
                delay=job.backoff,
                unique_key=job.unique_key,
                unique_period=job.unique_period,
                batch=batch_id,
            )
        assert (batch_id is not None) == call.has_batch
        new = len(set(model.jobs) - before)
        if batch_id is not None:
            if new == 0 and any(earlier):
                assert batch_id in earlier
            else:
                model.add_batch(batch_id, new)

    def _expect_one(
        self, given_id: str | None, queue: str, result: Enqueued, **fields: Any
    ) -> None:
        model = self._model
        if given_id in model.jobs:
            assert (result.job_id, result.is_new, result.is_duplicate) == (given_id, False, False)
            assert result.status == model.jobs[given_id].state.value
            return
        holder = model.holder(queue, fields.get("unique_key"))
        if holder is not None:
            assert (result.job_id, result.status) == (holder, "duplicate")
            assert (result.is_new, result.is_duplicate) == (False, True)
            return
        assert (result.is_new, result.is_duplicate) == (True, False)
        assert given_id in (None, result.job_id)
        job = model.add(result.job_id, queue, **fields)
        assert result.status == job.state.value

    def _expect_fetched(self, call: Fetch, leased: list[LeasedJob]) -> None:
        expected = self._model.next_jobs(list(call.queues), call.count)
        assert [job.head.id for job in leased] == [job.id for job in expected]
        for job, lease in zip(expected, leased, strict=True):
            self._model.start(job, lease, call.lease)
            self._leases.append(lease)

    def _expect_reported(self, call: Report, lease: LeasedJob, outcome: Outcome) -> None:
        job_id = lease.head.id
        token = {"own": lease.head.lease_token, "none": None, "wrong": "wrong"}[call.token]
        expected: type[Outcome] | ErrorCode
        match call.verb:
            case "ack":
                expected = self._model.ack(job_id, token)
            case "fail":
                expected = self._model.fail(
                    job_id, token, may_retry=call.may_retry, is_cancel=call.is_cancel
                )
                self._adopt_luck(job_id, outcome)
            case "release":
                expected = self._model.release(job_id, token, call.delay)
            case _:
                expected = self._model.heartbeat(job_id, token)
        check_outcome(outcome, expected)

    def _adopt_luck(self, job_id: str, outcome: Outcome) -> None:
        """Up to a tenth is added to a delay at random: check its bounds and take it over."""
        job = self._model.jobs.get(job_id)
        head = getattr(outcome, "job", None)
        if job is None or job.state is not JobState.RETRYING or head is None:
            return
        if head.state is JobState.RETRYING and job.scheduled_at != head.scheduled_at:
            most = self._model.delay(job) // 10
            assert job.scheduled_at is not None
            assert job.scheduled_at <= head.scheduled_at <= job.scheduled_at + most
            job.scheduled_at = head.scheduled_at

    async def _settle_batches(self) -> None:
        """The callbacks of the batches that ended with this commit are there, once each."""
        for batch_id in self._model.settle():
            record = await self._bench.batch(batch_id)
            callback = await self._bench.job(str(record.callback_job_id))
            batch = self._model.batches[batch_id]
            assert orjson.loads(callback.payload) == {
                "batch_id": batch_id,
                "total": batch.total,
                "succeeded": batch.counts[JobState.COMPLETED],
                "failed": batch.counts[JobState.DEAD],
                "cancelled": batch.counts[JobState.CANCELLED],
                "payload": {},
            }
            self._model.add(callback.head.id, CALLBACKS)

    # The server's own doing, and its operator's

    @rule(ms=spans)
    def let_time_pass(self, ms: int) -> None:
        self._model.now = self._clock.forward(ms)

    @rule(ms=st.just(0) | spans)
    def let_services_run(self, ms: int) -> None:
        self._model.now = self._clock.now + ms
        done = self._run(self._bench.tick(ms))
        promoted = self._model.promote()
        self._run(self._settle_batches())
        reclaimed = self._model.reclaim()
        self._run(self._settle_batches())
        expired = self._model.expire()
        self._run(self._settle_batches())
        assert done == {"promoted": promoted, "reclaimed": reclaimed, "expired": expired}

    @rule(what=st.sampled_from(["restart", "prune", "prune", "hour", "pause", "resume", "resume"]))
    def do_what_is_rare(self, what: str) -> None:
        match what:
            case "restart":
                self._run(self._bench.restart())
            case "prune":
                self._model.now = self._clock.now + 8 * 86_400_000
                self._run(self._bench.prune(8 * 86_400_000))
                self._model.prune()
            case "hour":
                self._model.now = self._clock.forward(3_600_000)
            case _:
                self._run(getattr(self._bench.engine.queues, what)("a"))
                self._model.queue("a").is_paused = what == "pause"

    # What must hold after every step

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        self._run(self._check())

    async def _check(self) -> None:
        await self._check_jobs()
        await self._check_locks()
        await self._check_counters()
        await self._check_batches()

    async def _check_jobs(self) -> None:
        """Nothing is lost, nothing too much, and no job is held twice."""
        model = self._model
        records = await self._bench.store.find_jobs([*model.jobs, *model.gone])
        assert {record.head.id for record in records} == set(model.jobs)
        for record in records:
            job = model.jobs[record.head.id]
            check_head(job, record.head)
            assert len(record.failures) == job.failures
            if job.state is JobState.ACTIVE:
                assert record.head.lease_token == job.token

    async def _check_locks(self) -> None:
        """A unique key has one live holder at most."""
        for (queue, key), (job_id, until) in self._model.locks.items():
            if until > self._model.now:
                found = await self._bench.try_enqueue(queue, unique_key=key)
                assert (found.job_id, found.is_duplicate) == (job_id, True)

    async def _check_counters(self) -> None:
        """Every queue's counters are what a recount says."""
        model = self._model
        records = await self._bench.store.list_queues()
        assert {record.name for record in records} == set(model.queues)
        for record in records:
            jobs = [job for job in model.jobs.values() if job.queue == record.name]
            queue = model.queues[record.name]
            for state in JobState:
                assert getattr(record, state.value) == sum(job.state is state for job in jobs)
            assert (record.enqueued, record.failed, record.is_paused) == (
                queue.enqueued,
                queue.failed,
                queue.is_paused,
            )

    async def _check_batches(self) -> None:
        """Each job has counted in its batch once, or not yet."""
        for batch_id, batch in self._model.batches.items():
            record = await self._bench.batch(batch_id)
            assert (record.total, record.finished_at) == (batch.total, batch.finished_at)
            assert (record.succeeded, record.failed, record.cancelled) == (
                batch.counts[JobState.COMPLETED],
                batch.counts[JobState.DEAD],
                batch.counts[JobState.CANCELLED],
            )

    async def _check_timelines(self) -> None:
        """Every job came to its state by transitions of the table, none of them in silence."""
        for job in self._model.jobs.values():
            events = (await self._bench.job(job.id)).events
            if job.id in self._model.reborn:
                continue
            is_whole = events and events[0].type is EventType.ENQUEUED  # the oldest are pruned
            reached: set[JobState | None] = {None} if is_whole else set(JobState)
            for event in events:
                reached = {
                    after
                    for before in reached
                    for after in (
                        TRANSITIONS.get((before, event.type)),
                        ALTERNATIVES.get((before, event.type)),
                    )
                    if after is not None
                }
            assert job.state in reached


def test_histories_are_as_promised(new_kit: NewKit) -> None:
    run_state_machine_as_test(
        lambda: History(new_kit),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
