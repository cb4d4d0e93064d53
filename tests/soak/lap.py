"""One lap of a soak: clients that come and go for some seconds, and the check of their history."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import count
from time import monotonic

from server_support.waiting import wait_until
from soak.keys import Keys
from soak.side_work import SPARE, SideWork
from support.api_client import ApiClient, Body
from support.event_log import (
    concurrency_violations,
    keys_of,
    last_event,
    order_violations,
    read_log,
)
from support.failover_client import FailoverClient
from support.final_state import LIVE, finish_all_jobs, jobs_of
from support.history import Call, History, Stopped
from support.history_checker import check
from support.load import KEYED, LIMITED, QUEUES, Producer, Worker

_LOADED = (*QUEUES, LIMITED, KEYED)
_LIMIT, _PER_KEY = 4, 1
_LIMITS = {LIMITED: _LIMIT, **{f"{KEYED}/{key}": _PER_KEY for key in ("north", "south", "west")}}
_PRODUCERS, _WORKERS = 4, 10
_RATE = 30.0
"""Enqueues a second of all producers. Each has 3.7 jobs on average."""
_SHIFT = (0.5, 6.0)
"""Bounds of the seconds for which a client lives."""
_PATIENCE = 6.0


class Pace:
    """Spreads calls evenly over time, so that each lap leaves the same number of jobs behind."""

    def __init__(self, rate: float) -> None:
        """`rate` is in calls a second."""
        self._step = 1 / rate
        self._next = monotonic()

    async def turn(self) -> None:
        """Wait for the next turn. Turns that nobody took are lost."""
        now = monotonic()
        self._next = max(self._next + self._step, now)
        await asyncio.sleep(self._next - now)


class _Client(FailoverClient):
    """A client whose enqueues keep the pace of the lap."""

    def __init__(
        self,
        apis: Sequence[ApiClient],
        history: History,
        chance: random.Random,
        stop: asyncio.Event,
        pace: Pace,
    ) -> None:
        super().__init__(apis, history, chance, stop)
        self._pace = pace

    async def answered(self, verb: str, body: Body) -> Call:
        """Make a call, an enqueue in its turn."""
        if verb.startswith("enqueue"):
            await self._pace.turn()
        return await super().answered(verb, body)


class Lap:
    """A load on the servers, and its history. `happened` counts what the clients did."""

    def __init__(
        self,
        urls: Sequence[str],
        admin_key: str,
        keys: Keys,
        chance: random.Random,
        worker_numbers: "count[int]",
    ) -> None:
        self._urls = urls
        self._admin_key = admin_key
        self._keys = keys
        self._random = chance
        self._worker_numbers = worker_numbers
        self._requests = count(1)
        self._stop = asyncio.Event()
        self._pace = Pace(_RATE)
        self._since = 0
        self.history = History()
        self.happened: Counter[str] = Counter()
        self.violations: list[str] = []

    async def run(self, seconds: float) -> None:
        """Load the servers for some seconds."""
        async with ApiClient(self._urls[0], key=self._admin_key) as api:
            await api.post(f"/queues/{LIMITED}/concurrency", {"max": _LIMIT})
            await api.post(f"/queues/{KEYED}/concurrency", {"per_key": _PER_KEY})
        self._since = await last_event(self._urls[0], key=self._admin_key)
        side_work = SideWork(self._urls, self._keys, self._child())
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_PRODUCERS):
                tasks.create_task(self._shifts(self._producer, self._keys.producer))
            for _ in range(_WORKERS):
                tasks.create_task(self._shifts(self._worker, self._keys.worker))
            tasks.create_task(side_work.run(self._stop))
            await asyncio.sleep(seconds)
            self._stop.set()
        self.happened += side_work.done
        self.violations += side_work.wrong

    async def check(self, tolerance_ms: int) -> None:
        """Finish all jobs, and add what violates the guarantees to `violations`."""
        url, key = self._urls[0], self._admin_key
        async with ApiClient(url, key=key) as api:
            for queue in _LOADED:
                await api.post(f"/queues/{queue}/resume")
            log = await read_log(url, self._since, key=key)
            await api.post(f"/queues/{LIMITED}/concurrency", {"max": None})
            await api.post(f"/queues/{KEYED}/concurrency", {"per_key": None})
            await finish_all_jobs(api, self.history, _LOADED)
            await self._delete_spare(api)
            jobs = await jobs_of(api, self.history)
        own = [line for line in log if line.job_id in jobs]
        verdict = check(self.history, jobs, tolerance_ms=tolerance_ms)
        self.violations += [
            *verdict.violations,
            *order_violations(own),
            *concurrency_violations(own, _LIMITS, keys_of(jobs)),
        ]
        self.happened["calls"] += len(self.history.calls)
        self.happened["unanswered calls"] += sum(call.is_open for call in self.history.calls)
        self.happened["jobs"] += len(jobs)
        self.happened["events"] += len(own)

    async def _delete_spare(self, api: ApiClient) -> None:
        async def is_empty() -> bool:
            body = {"action": "delete", "filter": {"queue": SPARE}}
            await api.post("/jobs/bulk", body)
            queues = {queue["name"]: queue for queue in await api.get("/queues")}
            return SPARE not in queues or not sum(queues[SPARE][state] for state in LIVE)

        await wait_until(is_empty, f"{SPARE} is empty")

    async def _shifts(self, new: Callable[[_Client], Producer | Worker], key: str) -> None:
        """Run one client after the other. Each ends in the middle of whatever it does."""
        while not self._stop.is_set():
            async with AsyncExitStack() as stack:
                apis = [
                    await stack.enter_async_context(ApiClient(url, _PATIENCE, key=key))
                    for url in self._urls
                ]
                client = new(_Client(apis, self.history, self._child(), self._stop, self._pace))
                with suppress(TimeoutError, Stopped):
                    async with asyncio.timeout(self._random.uniform(*_SHIFT)):
                        await client.run()
            self.happened["clients"] += 1

    def _producer(self, recorder: _Client) -> Producer:
        return Producer(self._requests, self._child(), recorder, _LOADED)

    def _worker(self, recorder: _Client) -> Worker:
        return Worker(next(self._worker_numbers), self._child(), recorder, _LOADED)

    def _child(self) -> random.Random:
        return random.Random(self._random.random())  # noqa: S311 - not for security
