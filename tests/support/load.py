"""Clients that send every kind of request under load and record the answers."""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

from corvo_schema import new_job_id
from support.api_client import ApiClient, Body, LeasedJob
from support.failover_client import FailoverClient
from support.history import Call, History, Recorder, Stopped, can_be_repeated
from support.uniqueness import KeyProducer

QUEUES = ("load-a", "load-b", "load-c")
LIMITED, KEYED, THROTTLED = "load-limited", "load-keyed", "load-throttled"
"""Queues with limits."""

_KEYS = ("north", "south", "west")
_PATIENCE = 6.0
"""Read timeout in seconds if a client can fail over to another server."""


class Load:
    """Producers and workers that share a history. Each run lasts until the server stops."""

    def __init__(
        self,
        history: History,
        seed: int,
        queues: Sequence[str] = QUEUES,
        *,
        served: Sequence[str] | None = None,
    ) -> None:
        """Producers enqueue into `queues`. Workers fetch from `served`, or else from `queues`."""
        self.history = history
        self._queues = queues
        self._served = served or queues
        self._random = random.Random(seed)  # noqa: S311 - not for security
        self._numbers = count(1)
        self._unanswered: list[Call] = []

    async def run(self, url: str, *, producers: int, workers: int) -> None:
        """Send requests to a server until it no longer answers."""
        async with ApiClient(url) as api:
            recorder = Recorder(api, self.history)
            clients: list[Producer | Worker | Repeater] = [
                Repeater(self._take_unanswered(), recorder)
            ]
            clients += self._clients([recorder] * (producers + workers), producers)
            start = len(self.history.calls)
            await asyncio.gather(*(_until_stopped(client.run()) for client in clients))
        self._unanswered = [
            call for call in self.history.calls[start:] if call.is_open and can_be_repeated(call)
        ]

    async def run_with_failover(
        self,
        urls: Sequence[str],
        stop: asyncio.Event,
        *,
        producers: int,
        key_producers: int,
        workers: int,
    ) -> None:
        """Send requests to several servers. Each client uses one server until that server fails."""
        async with AsyncExitStack() as stack:
            apis = [await stack.enter_async_context(ApiClient(url, _PATIENCE)) for url in urls]
            recorders = [
                FailoverClient(apis, self.history, self._child(), stop)
                for _ in range(producers + workers + key_producers)
            ]
            clients: list[Producer | Worker | KeyProducer] = [
                KeyProducer(self._child(), recorder)
                for recorder in recorders[producers + workers :]
            ]
            clients += self._clients(recorders[: producers + workers], producers)
            await asyncio.gather(*(_until_stopped(client.run()) for client in clients))

    async def run_with(self, recorders: Sequence[Recorder], *, producers: int) -> None:
        """Send requests with one client for each recorder, until each recorder has stopped."""
        async with asyncio.TaskGroup() as clients:
            for client in self._clients(recorders, producers):
                clients.create_task(_until_stopped(client.run()))

    def _clients(self, recorders: Sequence[Recorder], producers: int) -> "list[Producer | Worker]":
        return [
            Producer(self._numbers, self._child(), recorder, self._queues)
            if number < producers
            else Worker(number - producers, self._child(), recorder, self._served)
            for number, recorder in enumerate(recorders)
        ]

    def _child(self) -> random.Random:
        return random.Random(self._random.random())  # noqa: S311 - not for security

    def _take_unanswered(self) -> list[Call]:
        calls, self._unanswered = self._unanswered, []
        return calls


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Stopped:
        return


class Repeater:
    """Repeats calls that got no answer, like a client after a lost connection."""

    def __init__(self, calls: list[Call], recorder: Recorder) -> None:
        self._calls = calls
        self._recorder = recorder

    async def run(self) -> None:
        """Repeat each call once."""
        for call in self._calls:
            await self._recorder.answered(call.verb, call.body)


class Producer:
    """Enqueues single jobs and batches, with and without job ids."""

    def __init__(
        self,
        numbers: "count[int]",
        chance: random.Random,
        recorder: Recorder,
        queues: Sequence[str],
    ) -> None:
        self._numbers = numbers
        self._queues = queues
        self._random = chance
        self._recorder = recorder

    async def run(self) -> None:
        """Enqueue without a pause."""
        while True:
            jobs = self._jobs(self._random.choice((1, 1, 1, 2, 5, 12)))
            if len(jobs) == 1:
                await self._recorder.answered("enqueue", jobs[0])
            else:
                await self._recorder.answered("enqueue_batch", {"jobs": jobs})

    def _jobs(self, number: int) -> list[Body]:
        request = next(self._numbers)
        has_ids = self._random.random() < 0.5
        return [self._job(request, index, has_id=has_ids) for index in range(number)]

    def _job(self, request: int, index: int, *, has_id: bool) -> Body:
        queue = self._random.choice(self._queues)
        job = {
            "queue": queue,
            "payload": {"request": request, "index": index},
            "priority": self._random.randrange(3),
            "max_retries": 1000,
            "retry_backoff": self._random.choice(("none", "fixed")),
            "retry_base_delay": f"{self._random.randrange(1, 200)}ms",
        }
        if queue == KEYED:
            job["concurrency_key"] = self._random.choice(_KEYS)
        if has_id:
            job["job_id"] = new_job_id()
        return job


class Worker:
    """Fetches jobs and reports a random outcome for each."""

    def __init__(
        self, number: int, chance: random.Random, recorder: Recorder, queues: Sequence[str]
    ) -> None:
        self._id = f"worker-{number}"
        self._queues = queues
        self._random = chance
        self._recorder = recorder

    async def run(self) -> None:
        """Fetch without a pause."""
        while True:
            fetched = await self._recorder.answered(
                "fetch",
                {
                    "queues": self._queues,
                    "worker_id": self._id,
                    "count": self._random.choice((1, 4, 16)),
                    "timeout": 2,
                    "lease_duration": 1,
                },
            )
            jobs = (fetched.answer or {}).get("jobs", ())
            if len(jobs) > 2 and self._random.random() < 0.5:
                await self._ack_together(jobs)
                continue
            for job in jobs:
                await self._process(job)

    async def _ack_together(self, jobs: list[LeasedJob]) -> None:
        acks = [{**_lease_of(job), "result": f"{self._id}/{job['lease_token']}"} for job in jobs]
        await self._recorder.reported("ack", acks)

    async def _process(self, job: LeasedJob) -> None:
        dice = self._random.random()
        lease = _lease_of(job)
        if dice < 0.25:
            beat = {job["job_id"]: {"lease_token": job["lease_token"], "checkpoint": dice}}
            await self._recorder.answered("heartbeat", {"jobs": beat})
        dice = self._random.random()
        if dice < 0.65:
            result = f"{self._id}/{job['lease_token']}"
            await self._recorder.answered("ack", {**lease, "result": result})
        elif dice < 0.85:
            error = f"{self._id}/{job['lease_token']}"
            await self._recorder.answered("fail", {**lease, "error": error})
        elif dice < 0.93:
            await self._recorder.answered("release", lease)
        # Otherwise report nothing, so that the lease expires.


def _lease_of(job: LeasedJob) -> Body:
    return {"job_id": job["job_id"], "lease_token": job["lease_token"]}
