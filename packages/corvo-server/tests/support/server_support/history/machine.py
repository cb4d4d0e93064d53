"""The state machine of random histories: it compares every answer with the model."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from typing import Any
from unittest import mock

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from corvo_schema.states import JobState
from corvo_server.engine import bulk, queues
from corvo_server.engine.engine import Policy
from server_support.bench import Bench, turns
from server_support.clock import ManualClock
from server_support.history.checks import check_all, check_timelines
from server_support.history.life import CALLBACKS, Call, Life
from server_support.history.producing import agains, enqueues, repeatable
from server_support.history.steering import (
    WINDOW,
    configurations,
    limitations,
    schedule_calls,
    steers,
)
from server_support.history.sweeping import AT_ONCE, bulks, cancels_of_bulks, emptyings
from server_support.history.working import MAX_FETCH_BYTES, fetches, reports
from server_support.kits import Kit, NewKit
from server_support.model.parts import DAY

CHUNK = 2
"""Jobs per chunk of a bulk operation."""

calls = st.one_of(
    enqueues, repeatable, agains, fetches, reports, steers, configurations, schedule_calls
)
"""Calls that can share a commit with others."""
spans = st.sampled_from([1, 1_000, WINDOW - 1, WINDOW - 1, WINDOW, 60_000])


class History(RuleBasedStateMachine):
    """A random history of one server."""

    def __init__(self, new_kit: NewKit) -> None:
        super().__init__()
        self._ending = ExitStack()
        for module, name, value in (
            (bulk, "CHUNK", CHUNK),
            (bulk, "AT_ONCE", AT_ONCE),
            (queues, "AT_ONCE", AT_ONCE),
            (bulk, "_LONGEST_WAIT", 0),
        ):
            self._ending.enter_context(mock.patch.object(module, name, value))
        kit = self._ending.enter_context(new_kit())
        self._loop = asyncio.new_event_loop()
        self._life = self._run(self._open(kit))
        self._is_sound = True

    async def _open(self, kit: Kit) -> Life:
        policy = Policy(max_fetch_bytes=MAX_FETCH_BYTES)
        return Life(Bench(kit, kit.open(), ManualClock(), policy))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def teardown(self) -> None:
        try:
            if self._is_sound:
                self._run(check_timelines(self._life))
                self._run(self._life.bench.check_counters())
                assert self._life.bench.kit.find_problems() == []
        finally:
            self._run(self._life.bench.store.close())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            self._ending.close()

    # Calls, alone or together in one commit

    @initialize(limits=st.lists(limitations, max_size=2), jobs=enqueues)
    def set_up(self, limits: list[Call], jobs: Call) -> None:
        for call in (*limits, jobs):
            self._run(self._make([call]))

    @rule(call=st.one_of(enqueues, enqueues, repeatable, agains))
    def produce(self, call: Call) -> None:
        self._run(self._make([call]))

    @rule(call=enqueues)
    def enqueue(self, call: Call) -> None:
        self._run(self._make([call]))

    @rule(call=fetches)
    def fetch(self, call: Call) -> None:
        self._run(self._make([call]))

    @rule(call=reports)
    def report(self, call: Call) -> None:
        self._run(self._make([call]))

    @rule(jobs=enqueues, fetched=fetches, reported=st.lists(reports, max_size=4))
    def work(self, jobs: Call, fetched: Call, reported: list[Call]) -> None:
        for call in (jobs, fetched, *reported):
            self._run(self._make([call]))

    @rule(call=steers)
    def steer(self, call: Call) -> None:
        self._run(self._make([call]))

    @rule(call=configurations)
    def configure(self, call: Call) -> None:
        self._run(self._make([call]))

    @rule(call=schedule_calls)
    def schedule(self, call: Call) -> None:
        self._run(self._make([call]))

    @rule(call=st.one_of(bulks, bulks, cancels_of_bulks))
    def do_in_bulk(self, call: Call) -> None:
        self._run(self._make_alone(call))

    @rule(call=emptyings)
    def empty(self, call: Call) -> None:
        self._run(self._make_alone(call))

    @rule(together=st.lists(calls, min_size=2, max_size=6))
    def make_in_one_commit(self, together: list[Call]) -> None:
        self._run(self._make(together))

    async def _make(self, together: Sequence[Call]) -> None:
        life = self._life
        made = [(call, call.aim(life)) for call in together]
        with life.bench.kit.hold_commits(life.bench.store):
            tasks = [asyncio.ensure_future(call.make(life, aim)) for call, aim in made]
            await turns()
        answers = await asyncio.gather(*tasks)
        in_order = sorted(zip(made, answers, strict=True), key=lambda item: item[0][0].rank)
        for (call, aim), answer in in_order:
            call.expect(life, aim, answer)
        await self._settle_batches()

    async def _make_alone(self, call: Call) -> None:
        aim = call.aim(self._life)
        call.expect(self._life, aim, await call.make(self._life, aim))
        await self._settle_batches()

    async def _settle_batches(self) -> None:
        """Assert that each batch that ended in this commit has exactly one callback job."""
        bench, model = self._life.bench, self._life.model
        for batch_id in model.settle():
            record = await bench.batch(batch_id)
            callback = await bench.job(str(record.callback_job_id))
            batch = model.batches[batch_id]
            assert orjson.loads(callback.payload) == {
                "batch_id": batch_id,
                "total": batch.total,
                "succeeded": batch.counts[JobState.COMPLETED],
                "failed": batch.counts[JobState.DEAD],
                "cancelled": batch.counts[JobState.CANCELLED],
                "payload": {},
            }
            job = model.add(callback.head.id, CALLBACKS, payload="of the batch")
            job.payload_bytes = len(callback.payload)

    # Maintenance and restarts

    @rule(ms=spans)
    def let_time_pass(self, ms: int) -> None:
        self._life.model.now = self._life.bench.clock.forward(ms)

    @rule(ms=st.just(0) | spans)
    def let_services_run(self, ms: int) -> None:
        self._run(self._tick(ms))

    async def _tick(self, ms: int) -> None:
        model = self._life.model
        model.now = self._life.bench.clock.now + ms
        done = await self._life.bench.tick(ms)
        promoted = model.promote()
        reclaimed = model.reclaim()
        await self._settle_batches()
        expired = model.expire()
        await self._settle_batches()
        assert done == {"promoted": promoted, "reclaimed": reclaimed, "expired": expired}

    @rule(ms=st.sampled_from([0, 60_000, 120_000, 600_000]))
    def let_occurrences_pass(self, ms: int) -> None:
        self._run(self._run_due(ms))

    async def _run_due(self, ms: int) -> None:
        bench, model = self._life.bench, self._life.model
        model.now = bench.clock.forward(ms)
        due = model.due_schedules()
        assert await bench.engine.schedules.run_due() == len(due)
        last_jobs = {
            record.name: record.last_job_id for record in await bench.store.list_schedules()
        }
        # Schedules due at the same time run in any order, so the model adopts that of their jobs.
        records = await bench.store.find_jobs([job_id for job_id in last_jobs.values() if job_id])
        order = {record.head.id: record.head.seq for record in records}
        for schedule in sorted(due, key=lambda each: order.get(last_jobs[each.name] or "", 0)):
            model.run_due(schedule, last_jobs[schedule.name])

    @rule()
    def work_in_the_background(self) -> None:
        self._run(self._step_bulk())

    async def _step_bulk(self) -> None:
        done = await self._life.bench.engine.bulk.step()
        assert done == self._life.model.step_bulk(CHUNK)
        await self._settle_batches()

    @rule(what=st.sampled_from(["restart", "prune", "prune", "hour"]))
    def do_what_is_rare(self, what: str) -> None:
        bench, model = self._life.bench, self._life.model
        match what:
            case "restart":
                # Let time pass: bulk operations run in the order of their ids, and ids of one
                # millisecond are ordered only within a process.
                model.now = bench.clock.forward(1)
                self._run(bench.restart())
            case "prune":
                model.now = bench.clock.now + 8 * DAY
                self._run(bench.prune(8 * DAY))
                model.prune()
            case _:
                model.now = bench.clock.forward(3_600_000)

    # Assertions after every step

    @invariant()
    def server_matches_the_model(self) -> None:
        self._is_sound = False  # set to True below, if no assertion fails
        self._run(check_all(self._life))
        self._is_sound = True
