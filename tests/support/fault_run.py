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
from support.event_log import crowds, disorder, keys_of, read_log, rushes
from support.final_state import check_counters, finish_all_jobs, jobs_of
from support.history import History
from support.history_checker import Verdict, check, hand_outs
from support.load import KEYED, LIMITED, QUEUES, THROTTLED, Load
from support.server import CorvoServer
from support.slots import QUEUE as CALENDAR
from support.slots import Calendar
from support.uniqueness import QUEUE as UNIQUE
from support.uniqueness import twin_events, twins

SEED = int(os.environ.get("CORVO_CLUSTER_SEED", "0"))
ROUNDS = int(os.environ.get("CORVO_CLUSTER_ROUNDS", "4"))
LOAD = float(os.environ.get("CORVO_CLUSTER_LOAD", "1"))
"""The part of the requested answers that a fault run waits for."""
LIMIT, PER_KEY, RATE, WINDOW = 4, 1, 15, 500
_LOADED = (*QUEUES, LIMITED, KEYED, THROTTLED)
_QUEUES = (*_LOADED, UNIQUE, CALENDAR)
_LIMITS = {LIMITED: LIMIT, **{f"{KEYED}/{key}": PER_KEY for key in ("north", "south", "west")}}
_SHOWN = 30
_SHARED_CLOCK_MS = 50
"""How far a node's idea of the time may be from ours, who write down when we asked: by as much as a
look at the database's clock takes on a machine that is busy with all of us."""


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
        rivals: int = 3,
        workers: int = 12,
    ) -> None:
        self.name = name
        self.seed = SEED or random.SystemRandom().randrange(1, 10**9)
        self.chance = random.Random(self.seed)  # noqa: S311 - dice
        self.servers = servers
        self.happened: Counter[str] = Counter()
        self.history = History()
        self._load = Load(self.history, self.seed, _LOADED, served=_QUEUES)
        self._calendar = Calendar(database_url)
        self._size = {"producers": producers, "rivals": rivals, "workers": workers}
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        print(f"\n{self.name}: seed {self.seed}")
        async with ApiClient(self.servers[0].url) as api:
            await api.post(f"/queues/{LIMITED}/concurrency", {"max": LIMIT})
            await api.post(f"/queues/{KEYED}/concurrency", {"per_key": PER_KEY})
            await api.post(f"/queues/{THROTTLED}/throttle", {"rate": RATE, "window_ms": WINDOW})
            await self._calendar.open(api)
        urls = [server.url for server in self.servers]
        self._tasks = [
            asyncio.create_task(self._load.run_with_failover(urls, self._stop, **self._size)),
            asyncio.create_task(self._calendar.run()),
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
        """Return when clients have received `answers` more answers, scaled by `LOAD`."""
        wanted = self.history.answers + answers * LOAD
        await wait_until(
            lambda: self._tasks[0].done() or self.history.answers >= wanted,
            f"{answers} more answers",
            within=within,
        )
        if self._tasks[0].done():
            self._tasks[0].result()

    async def finish(self) -> None:
        """Stop the load, finish every job, and check the history against the guarantees."""
        load, calendar = self._tasks
        await self._calendar.see_some()
        calendar.cancel()
        await asyncio.gather(calendar, return_exceptions=True)
        self._stop.set()
        await load
        first, *others = self.servers
        async with ApiClient(first.url) as api:
            log = await read_log(first.url)
            await self._lift_limits(api)
            await self._calendar.see_all_run()
            await finish_all_jobs(api, self.history, _QUEUES)
            jobs = await jobs_of(api, self.history)
            own = {job_id: job for job_id, job in jobs.items() if job["queue"] in _LOADED}
            foreign = jobs.keys() - own.keys()
            verdict = check(self.history, own, tolerance_ms=_SHARED_CLOCK_MS, foreign=foreign)
            same = [*twins(self.history, jobs), *twin_events(log, jobs)]
            over = [
                *crowds(log, _LIMITS, keys_of(jobs)),
                *rushes(log, THROTTLED, RATE, WINDOW),
            ]
            missing, twice = await asyncio.to_thread(self._calendar.check)
            odd = list(disorder(log))
            for other in others:
                seen = await read_log(other.url)
                if seen[: len(log)] != log:
                    odd.append(f"{other.url} tells the events in another order than {first.url}")
            self._tell(verdict, over, same, missing, twice, odd, jobs, len(log))
            assert not [*verdict.broken, *over, *same, *missing, *twice, *odd]
            await check_counters(api, jobs, besides=[CALENDAR])

    async def _lift_limits(self, api: ApiClient) -> None:
        await api.post(f"/queues/{LIMITED}/concurrency", {"max": None})
        await api.post(f"/queues/{KEYED}/concurrency", {"per_key": None})
        await api.delete(f"/queues/{THROTTLED}/throttle")

    def _tell(
        self,
        verdict: Verdict,
        over: list[str],
        same: list[str],
        missing: list[str],
        twice: list[str],
        odd: list[str],
        jobs: Mapping[str, Body],
        events: int,
    ) -> None:
        verbs = Counter(call.verb for call in self.history.calls)
        statuses = Counter(str(call.status) for call in self.history.calls)
        leases = sum(map(len, hand_outs(self.history).values()))
        print(f"{self.name}: seed {self.seed}, {dict(self.happened)}")
        print(f"{verbs.total()} operations {dict(verbs)}, answered {dict(statuses)}")
        slots = len(self._calendar.slots)
        keyed = sum(job["queue"] == UNIQUE for job in jobs.values())
        print(
            f"{len(jobs)} jobs, {keyed} of them with unique keys, {leases} hand-outs, "
            f"{slots} slots, {events} events"
        )
        print(
            f"lost {len(verdict.lost)}, double leases {len(verdict.double_leases)}, "
            f"halves {len(verdict.halves)}, doubles {len(verdict.doubles)}, limits exceeded "
            f"{len(over)}, keys held twice {len(same)}, slots missed {len(missing)}, "
            f"slots twice {len(twice)}, odd {len(odd)}"
        )
        for sentence in [*verdict.broken, *over, *same, *missing, *twice, *odd][:_SHOWN]:
            print(f"  {sentence}")
