"""Several servers under load while something happens to them; what they said is checked after."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from support.event_log import crowds, disorder, keys_of, read_log, rushes
from support.history import History
from support.load import KEYED, LIMITED, QUEUES, THROTTLED, Load
from support.promises import Verdict, check, hand_outs
from support.server import CorvoServer
from support.settlement import check_counters, finish_all_jobs, jobs_of
from support.slots import QUEUE as CALENDAR
from support.slots import Calendar
from support.uniqueness import QUEUE as UNIQUE
from support.uniqueness import twin_events, twins
from support.waiting import wait_until
from support.wire import Body, Wire

SEED = int(os.environ.get("CORVO_CLUSTER_SEED", "0"))
ROUNDS = int(os.environ.get("CORVO_CLUSTER_ROUNDS", "4"))
LOAD = float(os.environ.get("CORVO_CLUSTER_LOAD", "1"))
"""How much of the answers that a trial asks for it waits for."""
LIMIT, PER_KEY, RATE, WINDOW = 4, 1, 15, 500
_LOADED = (*QUEUES, LIMITED, KEYED, THROTTLED)
_QUEUES = (*_LOADED, UNIQUE, CALENDAR)
_LIMITS = {LIMITED: LIMIT, **{f"{KEYED}/{key}": PER_KEY for key in ("north", "south", "west")}}
_SHOWN = 30
_SHARED_CLOCK_MS = 50
"""How far a node's idea of the time may be from ours, who write down when we asked: by as much as a
look at the database's clock takes on a machine that is busy with all of us."""


class Trial:
    """A load on some servers, from its start until everything that it began has ended.

    The dice are those of `CORVO_CLUSTER_SEED`, else new ones; `chance` throws them for the test.
    `CORVO_CLUSTER_LOAD` makes its phases shorter or longer.
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
        async with Wire(self.servers[0].url) as wire:
            await wire.post(f"/queues/{LIMITED}/concurrency", {"max": LIMIT})
            await wire.post(f"/queues/{KEYED}/concurrency", {"per_key": PER_KEY})
            await wire.post(f"/queues/{THROTTLED}/throttle", {"rate": RATE, "window_ms": WINDOW})
            await self._calendar.open(wire)
        urls = [server.url for server in self.servers]
        self._tasks = [
            asyncio.create_task(self._load.roam(urls, self._stop, **self._size)),
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
        """Return when clients have been given so many more answers."""
        wanted = self.history.answers + answers * LOAD
        await wait_until(
            lambda: self._tasks[0].done() or self.history.answers >= wanted,
            f"{answers} more answers",
            within=within,
        )
        if self._tasks[0].done():
            self._tasks[0].result()

    async def settle(self) -> None:
        """End the load, let every job come to its end, and hold all against the promises."""
        load, calendar = self._tasks
        await self._calendar.see_some()
        calendar.cancel()
        await asyncio.gather(calendar, return_exceptions=True)
        self._stop.set()
        await load
        first, *others = self.servers
        async with Wire(first.url) as wire:
            log = await read_log(first.url)
            await self._lift_limits(wire)
            await self._calendar.see_all_run()
            await finish_all_jobs(wire, self.history, _QUEUES)
            jobs = await jobs_of(wire, self.history)
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
            await check_counters(wire, jobs, besides=[CALENDAR])

    async def _lift_limits(self, wire: Wire) -> None:
        await wire.post(f"/queues/{LIMITED}/concurrency", {"max": None})
        await wire.post(f"/queues/{KEYED}/concurrency", {"per_key": None})
        await wire.delete(f"/queues/{THROTTLED}/throttle")

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
