"""Runs several servers under load while a test injects faults, then checks the history."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from server_support.waiting import wait_until
from support.api_client import ApiClient, Body
from support.event_log import (
    concurrency_violations,
    keys_of,
    order_violations,
    rate_violations,
    read_log,
)
from support.faults.figures import note_figures
from support.final_state import check_counters, finish_all_jobs, jobs_of
from support.history import History
from support.history_checker import Verdict, check, leases_by_job
from support.load import KEYED, LIMITED, QUEUES, THROTTLED, Load
from support.occurrences import QUEUE as SCHEDULED
from support.occurrences import ScheduleLoad
from support.server import CorvoServer
from support.uniqueness import QUEUE as UNIQUE
from support.uniqueness import key_event_violations, key_violations

SEED = int(os.environ.get("CORVO_CLUSTER_SEED", "0"))
ROUNDS = int(os.environ.get("CORVO_CLUSTER_ROUNDS", "4"))
LOAD = float(os.environ.get("CORVO_CLUSTER_LOAD", "1"))
"""Factor for the number of answers that a fault run waits for."""
LIMIT, PER_KEY, RATE, WINDOW = 4, 1, 15, 500
_LOADED = (*QUEUES, LIMITED, KEYED, THROTTLED)
_QUEUES = (*_LOADED, UNIQUE, SCHEDULED)
_LIMITS = {LIMITED: LIMIT, **{f"{KEYED}/{key}": PER_KEY for key in ("north", "south", "west")}}
_SHOWN = 30
_SHARED_CLOCK_MS = 50
"""Maximum difference in ms between a node's time and that of the history. Reading the database's
clock takes up to this long on a loaded machine."""


class FaultRun:
    """A load on several servers, from its start until every job that it enqueued is finished.

    `CORVO_CLUSTER_SEED` seeds the random choices of the run; the default is a new seed. The test
    draws its own random choices from `chance`. `CORVO_CLUSTER_LOAD` scales the length of phases.
    """

    def __init__(
        self,
        name: str,
        servers: Sequence[CorvoServer],
        database_url: str,
        *,
        producers: int = 4,
        key_producers: int = 3,
        workers: int = 12,
    ) -> None:
        self.name = name
        self.seed = SEED or random.SystemRandom().randrange(1, 10**9)
        self.chance = random.Random(self.seed)  # noqa: S311 - not for security
        self.servers = servers
        self.happened: Counter[str] = Counter()
        self.history = History()
        self._load = Load(self.history, self.seed, _LOADED, served=_QUEUES)
        self._schedules = ScheduleLoad(database_url)
        self._size = {"producers": producers, "key_producers": key_producers, "workers": workers}
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        print(f"\n{self.name}: seed {self.seed}")
        async with ApiClient(self.servers[0].url) as api:
            await api.post(f"/queues/{LIMITED}/concurrency", {"max": LIMIT})
            await api.post(f"/queues/{KEYED}/concurrency", {"per_key": PER_KEY})
            await api.post(f"/queues/{THROTTLED}/throttle", {"rate": RATE, "window_ms": WINDOW})
            await self._schedules.open(api)
        urls = [server.url for server in self.servers]
        self._tasks = [
            asyncio.create_task(self._load.run_with_failover(urls, self._stop, **self._size)),
            asyncio.create_task(self._schedules.run()),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def more(self, answers: int, within: float = 60) -> None:
        """Wait until clients have received `answers` more answers, scaled by `LOAD`."""
        target = self.history.answers + answers * LOAD
        await wait_until(
            lambda: self._tasks[0].done() or self.history.answers >= target,
            f"{answers} more answers",
            within=within,
        )
        if self._tasks[0].done():
            self._tasks[0].result()

    async def finish(self) -> None:
        """Stop the load, finish every job, and check the history against the guarantees."""
        load, schedules = self._tasks
        await self._schedules.wait_until_recorded()
        schedules.cancel()
        await asyncio.gather(schedules, return_exceptions=True)
        self._stop.set()
        await load
        first, *others = self.servers
        async with ApiClient(first.url) as api:
            log = await read_log(first.url)
            await self._lift_limits(api)
            await self._schedules.wait_until_processed()
            await finish_all_jobs(api, self.history, _QUEUES)
            jobs = await jobs_of(api, self.history)
            own = {job_id: job for job_id, job in jobs.items() if job["queue"] in _LOADED}
            others_jobs = jobs.keys() - own.keys()
            verdict = check(
                self.history, own, tolerance_ms=_SHARED_CLOCK_MS, leases_only=others_jobs
            )
            keys = [*key_violations(self.history, jobs), *key_event_violations(log, jobs)]
            limits = [
                *concurrency_violations(log, _LIMITS, keys_of(jobs)),
                *rate_violations(log, THROTTLED, RATE, WINDOW),
            ]
            missing, repeated = await asyncio.to_thread(self._schedules.check)
            order = list(order_violations(log))
            for other in others:
                seen = await read_log(other.url)
                if seen[: len(log)] != log:
                    order.append(f"{other.url} has the events in another order than {first.url}")
            self._print(verdict, limits, keys, missing, repeated, order, jobs, len(log))
            note_figures(
                self.name,
                operations=len(self.history.calls),
                **{name.replace(" ", "_"): number for name, number in self.happened.items()},
                jobs=len(jobs),
                lost=len(verdict.lost),
                double_leases=len(verdict.double_leases),
            )
            assert not [*verdict.violations, *limits, *keys, *missing, *repeated, *order]
            await check_counters(api, jobs, except_queues=[SCHEDULED])

    async def _lift_limits(self, api: ApiClient) -> None:
        await api.post(f"/queues/{LIMITED}/concurrency", {"max": None})
        await api.post(f"/queues/{KEYED}/concurrency", {"per_key": None})
        await api.delete(f"/queues/{THROTTLED}/throttle")

    def _print(
        self,
        verdict: Verdict,
        limits: list[str],
        keys: list[str],
        missing: list[str],
        repeated: list[str],
        order: list[str],
        jobs: Mapping[str, Body],
        events: int,
    ) -> None:
        verbs = Counter(call.verb for call in self.history.calls)
        statuses = Counter(str(call.status) for call in self.history.calls)
        leases = sum(map(len, leases_by_job(self.history).values()))
        print(f"{self.name}: seed {self.seed}, {dict(self.happened)}")
        print(f"{verbs.total()} operations {dict(verbs)}, answered {dict(statuses)}")
        occurrences = len(self._schedules.occurrences)
        keyed = sum(job["queue"] == UNIQUE for job in jobs.values())
        print(
            f"{len(jobs)} jobs, {keyed} of them with unique keys, {leases} leases, "
            f"{occurrences} occurrences, {events} events"
        )
        print(
            f"lost {len(verdict.lost)}, double leases {len(verdict.double_leases)}, "
            f"partial {len(verdict.partial)}, duplicates {len(verdict.duplicates)}, "
            f"limits exceeded {len(limits)}, keys with two jobs {len(keys)}, occurrences missed "
            f"{len(missing)}, occurrences repeated {len(repeated)}, event order {len(order)}"
        )
        for sentence in [*verdict.violations, *limits, *keys, *missing, *repeated, *order][:_SHOWN]:
            print(f"  {sentence}")
