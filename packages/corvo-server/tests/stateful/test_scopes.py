"""Two keys with scopes do not learn of each other: a property of all histories.

A history is run three times: with the calls of both keys, and with those of each key alone. A key
must get the same answers in both runs that it takes part in, so nothing of the other key has an
effect on them. Its calls also name jobs, queues, schedules, batches and operations of the other
key, which do not exist in the run without it.

`CORVO_SCOPES_EXAMPLES` sets the number of histories.
"""

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from contextvars import copy_context
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corvo_schema import BulkRequest, Role, ScheduleRequest, SearchRequest
from corvo_schema.states import JobState, Priority
from corvo_server.auth.caller import Caller, set_caller
from corvo_server.auth.scope import Scope
from corvo_server.engine import attempts as attempts_module
from corvo_server.engine.attempts import Ack, Fail, Heartbeat, Release
from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.engine.events import EventFilter
from corvo_server.store.records import LeasedJob
from server_support.bench import Bench, make_job
from server_support.clock import ManualClock
from server_support.kits import NewKit

EXAMPLES = int(os.environ.get("CORVO_SCOPES_EXAMPLES", "30"))
PER_STORE = 100
"""Number of histories after which the stores are replaced, so that their tables stay small."""
NAMES = ("red", "blue")
_ID = re.compile(r"(job|batch|sched|bulk)_[0-9A-Z]{26}")
_UNTOLD = frozenset({"seq", "lease_token", "seconds", "cursor", "last_seq"})
"""Fields that count what all keys do; see "What a scoped key can learn" in docs/security.md."""


class Actor:
    """One key in one run, with what it was answered."""

    def __init__(self, name: str, number: int, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self.queues = [f"{name}{number}.{kind}" for kind in ("mail", "news", "made")]
        self.worker = f"{name}{number}-worker"
        self.caller = Caller(name, frozenset(Role), None, Scope([f"{name}{number}.*"]))
        self.jobs: list[str] = []
        self.leases: list[LeasedJob] = []
        self.batches: list[str] = []
        self.bulks: list[str] = []
        self.schedules: list[str] = []
        self.answers: list[object] = []
        self._ids: dict[str, str] = {}

    def note(self, answer: object) -> None:
        """Keep an answer. Ids are random, so they are numbered in the order of their appearance."""
        text = orjson.dumps(_told(msgspec.to_builtins(answer, enc_hook=repr))).decode()
        self.answers.append(_ID.sub(self._number, text))

    def _number(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"{found[1]}#{len(self._ids)}")


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            str(name): _told(part)
            for name, part in value.items()
            if name not in _UNTOLD and not (name == "id" and isinstance(part, int))
        }
    return [_told(part) for part in value] if isinstance(value, list) else value


class Run:
    """One run of a history on one engine."""

    def __init__(self, bench: Bench, number: int, names: tuple[str, ...], lent: list[str]) -> None:
        self.bench = bench
        self.engine = bench.engine
        self.actors = {name: Actor(name, number, bench.engine) for name in names}
        self.number = number
        self.lent = lent
        """What calls name of the other key, in order: a run with one key repeats it."""
        self.after = 0

    async def step(self, name: str, verb: str, a: int, b: int) -> None:
        """Make one call of a key, or let the server work."""
        if name == "server":
            await self.serve(a)
        elif name in self.actors:
            actor = self.actors[name]
            task = asyncio.get_running_loop().create_task(
                self._call(actor, verb, a, b), context=copy_context()
            )
            await task

    async def _call(self, actor: Actor, verb: str, a: int, b: int) -> None:
        set_caller(actor.caller)
        try:
            answer = await VERBS[verb](self, actor, a, b)
        except CallError as error:
            answer = {"code": error.code, "message": error.message, "details": [*error.details]}
        actor.note([verb, answer])

    async def serve(self, a: int) -> None:
        """Let time pass and the services of the server work."""
        await self.bench.tick((1, 1_000, 6_000, 61_000)[a % 4])
        while await self.engine.schedules.run_due():  # a chunk at a time
            pass
        while await self.engine.bulk.step():
            pass

    def pick(self, actor: Actor, kind: str, a: int) -> str:
        """Return an object of the actor, or of the other key, or one that does not exist."""
        own: list[str] = getattr(actor, kind)
        if a % 4 or not own:
            return own[a % len(own)] if own else f"no-{kind}"
        if len(self.actors) == 1:
            return self.lent.pop(0)
        (other,) = (each for each in self.actors.values() if each is not actor)
        theirs: list[str] = getattr(other, kind)
        found = theirs[a % len(theirs)] if theirs else f"no-{kind}"
        self.lent_to[actor.name].append(found)
        return found

    lent_to: dict[str, list[str]]


async def enqueue(run: Run, actor: Actor, a: int, b: int) -> object:
    fields: dict[str, object] = {"queue": run.pick(actor, "queues", a)}
    if b % 3 == 0:
        fields |= {
            "unique_key": f"key-{b % 2}",
            "on_conflict": ("ignore", "error", "replace")[a % 3],
        }
    if b % 5 == 0:
        fields["delay"] = 5
    done = await run.bench.engine.jobs.enqueue(*_job(fields, b))
    actor.jobs.append(done.job_id)
    return done


async def enqueue_known(run: Run, actor: Actor, a: int, b: int) -> object:
    job_id = run.pick(actor, "jobs", b)
    if job_id not in actor.jobs:
        return None  # ids that exist are told
    queue = actor.queues[a % 3]
    return await run.engine.jobs.enqueue(*_job({"queue": queue, "job_id": job_id}, b))


async def enqueue_batch(run: Run, actor: Actor, a: int, b: int) -> object:
    jobs = [_job({"queue": actor.queues[(a + i) % 3]}, i) for i in range(1 + b % 3)]
    callback = run.pick(actor, "queues", b)
    done, batch = await run.bench.enqueue_batch(*jobs, callback=callback)
    actor.jobs += [job.job_id for job in done]
    actor.batches.append(str(batch))
    return [done, batch]


def _job(fields: dict[str, Any], payload: int) -> Any:
    return make_job(payload={"n": payload % 4}, **fields)


async def fetch(run: Run, actor: Actor, a: int, b: int) -> object:
    queues = [actor.queues[b % 3], run.pick(actor, "queues", a)]
    jobs = await run.bench.fetch(*queues, count=1 + b % 2, worker=actor.worker)
    actor.leases += jobs
    return jobs


async def report(run: Run, actor: Actor, a: int, b: int) -> object:
    job_id, token = run.pick(actor, "jobs", a), None
    if actor.leases and b % 3:
        head = actor.leases[a % len(actor.leases)].head
        job_id, token = head.id, head.lease_token
    calls: list[Callable[[], Any]] = [
        lambda: run.engine.attempts.ack([Ack(job_id, token, None)]),
        lambda: run.engine.attempts.fail([Fail(job_id, token, "boom", None)]),
        lambda: run.engine.attempts.release([Release(job_id, token, 0, None)]),
        lambda: run.engine.attempts.heartbeat([Heartbeat(job_id, token, "1", None)], actor.worker),
    ]
    return _without_leases(await calls[b % 4]())


def _without_leases(outcomes: Any) -> object:
    return [[type(outcome).__name__, outcome] for outcome in outcomes]


async def steer(run: Run, actor: Actor, a: int, b: int) -> object:
    job_id, jobs = run.pick(actor, "jobs", a), run.engine.jobs
    calls: list[Callable[[], Any]] = [
        lambda: jobs.cancel(job_id),
        lambda: jobs.retry(job_id),
        lambda: jobs.requeue(job_id),
        lambda: jobs.move(job_id, run.pick(actor, "queues", b)),
        lambda: jobs.change_priority(job_id, Priority.HIGH),
        lambda: jobs.delete(job_id),
        lambda: jobs.get(job_id),
        lambda: jobs.bulk_get([job_id, *actor.jobs]),
    ]
    return await calls[b % 8]()


async def steer_queue(run: Run, actor: Actor, a: int, b: int) -> object:
    name, queues = run.pick(actor, "queues", a), run.engine.queues
    calls: list[Callable[[], Any]] = [
        lambda: queues.pause(name),
        lambda: queues.resume(name),
        lambda: queues.limit(name, 1),
        lambda: queues.throttle(name, 5, 1000),
        lambda: queues.clear(name),
        lambda: queues.delete(name),
        lambda: queues.get(name),
        lambda: queues.drain(name),
    ]
    return await calls[b % 8]()


async def bulk(run: Run, actor: Actor, a: int, b: int) -> object:
    action = ("delete", "cancel", "retry", "move", "requeue")[b % 5]
    fields: dict[str, object] = {"action": action, "async": a % 3 == 0}
    if action == "move":
        fields["move_to_queue"] = run.pick(actor, "queues", b)
    if a % 2:
        fields["job_ids"] = [run.pick(actor, "jobs", a), run.pick(actor, "jobs", b)]
    else:
        wanted = ({}, {"queue": run.pick(actor, "queues", b)}, {"state": ["pending", "dead"]})
        fields["filter"] = wanted[b % 3]
    done = await run.engine.bulk.run(BulkRequest.model_validate(fields))
    if hasattr(done, "id"):
        actor.bulks.append(done.id)
    return done


async def steer_bulk(run: Run, actor: Actor, a: int, b: int) -> object:
    bulk_id = run.pick(actor, "bulks", a)
    return await (run.engine.bulk.cancel if b % 2 else run.engine.bulk.get)(bulk_id)


async def get_batch(run: Run, actor: Actor, a: int, b: int) -> object:
    return await run.engine.batches.get(run.pick(actor, "batches", a + b))


async def schedule(run: Run, actor: Actor, a: int, b: int) -> object:
    name = f"{actor.name}{run.number}-plan-{b % 2}"
    queue = run.pick(actor, "queues", a)
    request = ScheduleRequest.model_validate({"name": name, "cron": "* * * * *", "queue": queue})
    answer = await run.engine.schedules.put(request, None)
    actor.schedules += [name, answer[0].id]
    return answer


async def steer_schedule(run: Run, actor: Actor, a: int, b: int) -> object:
    name, schedules = run.pick(actor, "schedules", a), run.engine.schedules
    calls: list[Callable[[], Any]] = [
        lambda: schedules.get(name),
        lambda: schedules.pause(name),
        lambda: schedules.resume(name),
        lambda: schedules.run(name),
        lambda: schedules.delete(name),
    ]
    return await calls[b % 5]()


async def look(run: Run, actor: Actor, a: int, b: int) -> object:
    """Read all that lists, counts or streams."""
    engine = run.engine
    wanted: list[dict[str, object]] = [
        {},
        {"queue": run.pick(actor, "queues", a)},
        {"state": [list(JobState)[b % 7].value]},
        {"payload_jq": f".n == {b % 4}"},
        {"sort": ("completed_at", "queue", "started_at")[b % 3]},
        {"batch_id": run.pick(actor, "batches", b)},
        {"job_id_prefix": run.pick(actor, "jobs", a)[:30]},
    ]
    found: list[object] = []
    for fields in wanted:
        page = await engine.search.jobs(SearchRequest.model_validate(fields | {"limit": 2}))
        pages = [page]
        while page.cursor is not None:
            more = fields | {"limit": 2, "cursor": page.cursor}
            page = await engine.search.jobs(SearchRequest.model_validate(more))
            pages.append(page)
        found.append([[page.jobs, page.total] for page in pages])
    batches: list[object] = []
    cursor = None
    while True:
        part = await engine.batches.list(None, 2, cursor)
        batches += part.batches
        cursor = part.cursor
        if cursor is None:
            break
    text = engine.metrics.render(await engine.queues.list(), engine.clock(), only_queues=True)
    return [
        found,
        batches,
        await engine.queues.list(),
        await engine.schedules.list(),
        await engine.bulk.list(),
        await engine.workers.list(),
        [node.has_load for node in await engine.nodes.list()],
        text.decode(),
        [[e.type, e.job_id, e.queue, e.at, e.data] for e in await _events(run)],
    ]


async def _events(run: Run) -> list[Any]:
    found: list[Any] = []
    async with aclosing(run.engine.events.follow(run.after, EventFilter(), 0)) as chunks:
        async for chunk in chunks:
            if not chunk:
                break
            found += chunk
    return found


VERBS: dict[str, Callable[[Run, Actor, int, int], Any]] = {
    verb.__name__: verb
    for verb in (
        enqueue,
        enqueue_known,
        enqueue_batch,
        fetch,
        report,
        steer,
        steer_queue,
        bulk,
        steer_bulk,
        get_batch,
        schedule,
        steer_schedule,
        look,
    )
}
_NUMBER = st.integers(0, 119)
_OFTEN = ("enqueue", "enqueue", "enqueue_batch", "fetch", "fetch", "report", "report", *VERBS)
STEPS = st.lists(
    st.tuples(
        st.sampled_from((*NAMES, *NAMES, "server")), st.sampled_from(_OFTEN), _NUMBER, _NUMBER
    ),
    min_size=8,
    max_size=30,
)
FIRST = (
    ("enqueue", 1, 1),
    ("enqueue", 2, 3),
    ("fetch", 1, 1),
    ("enqueue_batch", 1, 2),
    ("schedule", 1, 1),
    ("bulk", 3, 1),
)
"""The calls with which both keys begin, so that each has objects of all kinds."""


class Worlds:
    """Three engines that histories share: for both keys, and for each alone."""

    def __init__(self, new_kit: NewKit) -> None:
        self._new_kit = new_kit
        self._kits = ExitStack()
        self._benches: list[Bench] = []
        self.number = 0

    async def compare(self, steps: list[tuple[str, str, int, int]]) -> None:
        """Run a history three times, and compare the answers."""
        if self.number % PER_STORE == 0:
            await self.close()
            self._open()
        self.number += 1
        now = max(bench.clock.now for bench in self._benches)
        for bench in self._benches:  # an earlier history may have failed on the way
            bench.clock.now = now
        both = Run(self._benches[0], self.number, NAMES, [])
        both.lent_to = {name: [] for name in NAMES}
        await self._run(both, steps)
        for name, bench in zip(NAMES, self._benches[1:], strict=True):
            alone = Run(bench, self.number, (name,), [*both.lent_to[name]])
            await self._run(alone, steps)
            got, expected = both.actors[name].answers, alone.actors[name].answers
            for answer, answer_alone in zip(got, expected, strict=True):
                assert answer == answer_alone, f"{name} learns of the other key"
            assert not alone.lent

    async def _run(self, run: Run, steps: list[tuple[str, str, int, int]]) -> None:
        run.after = await run.engine.events.last_id()
        for name in NAMES:
            for step in FIRST:
                await run.step(name, *step)
        for step in steps:
            await run.step(*step)
        for name in NAMES:
            await run.step(name, "look", 1, 1)
        await run.bench.settle()

    def _open(self) -> None:
        for _ in range(3):
            kit = self._kits.enter_context(self._new_kit())
            self._benches.append(Bench(kit, kit.open(), ManualClock()))

    async def close(self) -> None:
        """Close the stores."""
        for bench in self._benches:
            await bench.store.close()
        self._benches.clear()
        self._kits.close()


def test_keys_do_not_learn_of_each_other(
    new_kit: NewKit, engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module.random, "random", lambda: 0.5)  # the jitter of backoff
    with asyncio.Runner() as runner:
        worlds = Worlds(new_kit)

        @settings(
            max_examples=EXAMPLES if engine_name == "sqlite" else max(1, EXAMPLES // 3),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(STEPS)
        def compare(steps: list[tuple[str, str, int, int]]) -> None:
            runner.run(worlds.compare(steps))

        try:
            compare()
        finally:
            runner.run(worlds.close())
