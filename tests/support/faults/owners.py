"""A load whose every effect is known: each client changes only jobs and queues of its own."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from corvo_schema import new_job_id
from support.api_client import ApiClient, Body, new_name
from support.faults.effects import Effects, State, Unknown


@dataclass(frozen=True)
class JobState:
    """What a load knows of a job."""

    queue: str
    state: str = "pending"
    attempt: int = 0
    checkpoint: int | None = None
    result: int | None = None


@dataclass(frozen=True)
class QueueState:
    """What a load knows of a queue."""

    is_paused: bool = False
    max_concurrency: int | None = None


def queue_thing(name: str) -> str:
    """Return the name of a queue among the things of the effects."""
    return f"queue {name}"


def schedule_thing(name: str) -> str:
    """Return the name of a schedule among the things of the effects."""
    return f"schedule {name}"


class Owner:
    """A client with two queues. It makes one random call after the other, of every kind."""

    def __init__(self, api: ApiClient, effects: Effects, chance: random.Random) -> None:
        self._api = api
        self._effects = effects
        self._random = chance
        self._queue, self._other = new_name("own"), new_name("own")
        self._jobs: dict[str, JobState] = {}
        self._tokens: dict[str, str] = {}
        self._settings = QueueState()
        self._number = 0
        self._calls: tuple[Callable[[], Awaitable[None]], ...] = (
            *(self._enqueue, self._enqueue, self._enqueue_batch, self._fetch, self._fetch),
            *(self._ack, self._ack, self._ack_batch, self._fail, self._release, self._heartbeat),
            *(self._cancel, self._retry, self._move, self._delete, self._bulk),
            *(self._pause, self._limit, self._clear, self._schedule),
        )

    async def run(self, calls: int) -> None:
        """Make so many calls, or fewer if the server dies."""
        try:
            for _ in range(calls):
                self._number += 1
                await self._random.choice(self._calls)()
        except httpx.TransportError:
            return

    # Producers

    def _new_job(self) -> tuple[Body, JobState]:
        options = self._random.choice(({}, {}, {"delay": "1d"}, {"tags": {"n": str(self._number)}}))
        job_id = new_job_id()
        body = {
            "queue": self._queue,
            "job_id": job_id,
            "payload": "x" * self._random.choice((0, 100, 3000, 20_000)),
            "retry_base_delay": "1d",
            "retry_max_delay": "1d",
            **options,
        }
        return body, JobState(self._queue, "scheduled" if "delay" in options else "pending")

    async def _enqueue(self) -> None:
        body, job = self._new_job()
        await self._change("POST", "/enqueue", body, {body["job_id"]: job})

    async def _enqueue_batch(self) -> None:
        new = [self._new_job() for _ in range(self._random.choice((2, 5, 30)))]
        jobs = {body["job_id"]: job for body, job in new}
        await self._change("POST", "/enqueue/batch", {"jobs": [body for body, _ in new]}, jobs)

    # Workers

    async def _fetch(self) -> None:
        call = self._effects.new_call()
        body = {
            "queues": [self._queue, self._other],
            "worker_id": self._queue,
            "timeout": 0,
            "count": self._random.choice((1, 4)),
            "fenced": True,
        }
        try:
            answer = await self._send(call, "POST", "/fetch/batch", body)
        except httpx.TransportError:
            for job_id in self._in("pending"):
                self._effects.note(call, job_id, Unknown())
            raise
        for leased in answer["jobs"]:
            job_id = leased["job_id"]
            job = self._jobs[job_id]
            self._tokens[job_id] = leased["lease_token"]
            self._note(call, {job_id: replace(job, state="active", attempt=job.attempt + 1)})

    async def _ack(self) -> None:
        for job_id, job in self._some("active"):
            body = {"lease_token": self._tokens[job_id], "result": self._number}
            done = replace(job, state="completed", result=self._number)
            await self._change("POST", f"/ack/{job_id}", body, {job_id: done})

    async def _ack_batch(self) -> None:
        jobs = self._some("active", 3)
        done = {
            job_id: replace(job, state="completed", result=self._number) for job_id, job in jobs
        }
        acks = [
            {"job_id": job_id, "lease_token": self._tokens[job_id], "result": self._number}
            for job_id in done
        ]
        if acks:
            await self._change("POST", "/ack/batch", {"acks": acks}, done)

    async def _fail(self) -> None:
        for job_id, job in self._some("active"):
            is_last = self._random.random() < 0.5
            body = {"lease_token": self._tokens[job_id], "error": "broke", "retry": not is_last}
            ends = is_last or job.attempt > 3
            failed = replace(job, state="dead" if ends else "retrying")
            await self._change("POST", f"/fail/{job_id}", body, {job_id: failed})

    async def _release(self) -> None:
        for job_id, job in self._some("active"):
            body = {"lease_token": self._tokens[job_id], "checkpoint": self._number}
            waiting = replace(
                job, state="pending", attempt=job.attempt - 1, checkpoint=self._number
            )
            await self._change("POST", f"/release/{job_id}", body, {job_id: waiting})

    async def _heartbeat(self) -> None:
        jobs = self._some("active", 2)
        body = {
            job_id: {"lease_token": self._tokens[job_id], "checkpoint": self._number}
            for job_id, _ in jobs
        }
        beaten = {job_id: replace(job, checkpoint=self._number) for job_id, job in jobs}
        await self._change("POST", "/heartbeat", {"jobs": body}, beaten)

    # Operators

    async def _cancel(self) -> None:
        for job_id, job in self._some("pending"):
            cancelled = replace(job, state="cancelled")
            await self._change("POST", f"/jobs/{job_id}/cancel", None, {job_id: cancelled})

    async def _retry(self) -> None:
        for job_id, job in self._some("dead"):
            again = replace(job, state="pending", attempt=0)
            await self._change("POST", f"/jobs/{job_id}/retry", None, {job_id: again})

    async def _move(self) -> None:
        for job_id, job in self._some("pending"):
            moved = replace(job, queue=self._other)
            path, body = f"/jobs/{job_id}/move", {"queue": self._other}
            await self._change("POST", path, body, {job_id: moved})

    async def _delete(self) -> None:
        for job_id, _ in self._some("completed"):
            await self._change("DELETE", f"/jobs/{job_id}", None, {job_id: None})

    async def _bulk(self) -> None:
        jobs = self._some("pending", 5)
        body = {"job_ids": [job_id for job_id, _ in jobs], "action": "cancel"}
        cancelled = {job_id: replace(job, state="cancelled") for job_id, job in jobs}
        if jobs:
            await self._change("POST", "/jobs/bulk", body, cancelled)

    async def _clear(self) -> None:
        gone = {
            job_id: None
            for state in ("pending", "scheduled")
            for job_id in self._in(state)
            if self._jobs[job_id].queue == self._other
        }
        if gone:
            await self._change("POST", f"/queues/{self._other}/clear", None, gone)

    async def _pause(self) -> None:
        verb = "resume" if self._settings.is_paused else "pause"
        settings = replace(self._settings, is_paused=verb == "pause")
        await self._set(verb, None, settings)

    async def _limit(self) -> None:
        limit = self._random.randrange(100, 200)
        settings = replace(self._settings, max_concurrency=limit)
        await self._set("concurrency", {"max": limit}, settings)

    async def _set(self, verb: str, body: Any, settings: QueueState) -> None:
        self._settings = settings
        path = f"/queues/{self._queue}/{verb}"
        # A queue with the settings of a new one may exist already, because of its jobs.
        state = None if settings == QueueState() else settings
        await self._change("POST", path, body, {queue_thing(self._queue): state})

    async def _schedule(self) -> None:
        cron = f"{self._random.randrange(60)} 4 29 2 *"
        body = {"name": self._queue, "queue": self._queue, "cron": cron}
        await self._change("POST", "/schedules", body, {schedule_thing(self._queue): cron})

    # The effects

    async def _change(self, method: str, path: str, body: Any, effect: Mapping[str, State]) -> None:
        """Make a call of known effect. Note the effect before, because the reply may not come."""
        call = self._effects.new_call()
        self._note(call, effect)
        await self._send(call, method, path, body)

    def _note(self, call: str, effect: Mapping[str, State]) -> None:
        for thing, state in effect.items():
            self._effects.note(call, thing, state)
            if isinstance(state, JobState):
                self._jobs[thing] = state
            else:
                self._jobs.pop(thing, None)

    async def _send(self, call: str, method: str, path: str, body: Any) -> Any:
        headers = {"x-request-id": call}
        response = await self._api.send(method, path, body, headers=headers)
        assert response.is_success, f"{method} {path} {body}: {response.text}"
        return response.json()

    def _in(self, state: str) -> list[str]:
        return [job_id for job_id, job in self._jobs.items() if job.state == state]

    def _some(self, state: str, most: int = 1) -> list[tuple[str, JobState]]:
        known = self._in(state)
        chosen = self._random.sample(known, min(most, len(known)))
        return [(job_id, self._jobs[job_id]) for job_id in chosen]
