"""Reads the event log as a follower does, and checks its guarantees."""

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import httpx

from corvo_schema.states import ALTERNATIVES, TRANSITIONS, EventType, JobState
from support.api_client import API, Body

_STAY = {EventType.PROGRESS, EventType.CANCEL_REQUESTED}


class Line(NamedTuple):
    """One event. `at` is in ms since the epoch."""

    id: int
    type: EventType
    job_id: str
    queue: str
    at: int


async def read_log(url: str) -> list[Line]:
    """All events that there are, from one server."""
    async with httpx.AsyncClient(base_url=url + API, timeout=30, trust_env=False) as http:
        async with http.stream("GET", "/events") as response:
            last = await anext(_ids(response))
        lines: list[Line] = []
        async with http.stream("GET", "/events", params={"last_event_id": 0}) as response:
            async for line in _lines(response):
                lines.append(line)
                if line.id >= last:
                    break
        return lines


async def _ids(response: httpx.Response) -> AsyncIterator[int]:
    async for text in response.aiter_lines():
        if text.startswith("id: "):
            yield int(text.removeprefix("id: "))


async def _lines(response: httpx.Response) -> AsyncIterator[Line]:
    async for text in response.aiter_lines():
        if text.startswith("data: "):
            event = json.loads(text.removeprefix("data: "))
            yield Line(
                event["id"],
                EventType(event["type"]),
                event["job_id"],
                event["queue"],
                round(datetime.fromisoformat(event["created_at"]).timestamp() * 1000),
            )


def disorder(log: Sequence[Line]) -> Iterator[str]:
    """Where the ids do not grow, and where a job does what no job may do."""
    for earlier, later in pairwise(log):
        if later.id <= earlier.id:
            yield f"event {later.id} came after {earlier.id}"
    states: defaultdict[str, set[JobState | None]] = defaultdict(lambda: {None})
    for line in log:
        before = states[line.job_id]
        after = {
            table[state, line.type]
            for table in (TRANSITIONS, ALTERNATIVES)
            for state in before
            if (state, line.type) in table
        }
        if not after:
            yield f"event {line.id}: {line.job_id} was {before} and is {line.type}"
        states[line.job_id] = set(after) or set(JobState)


def crowds(
    log: Iterable[Line], limits: Mapping[str, int], keys: Mapping[str, str]
) -> Iterator[str]:
    """Where more jobs were active than may be: in a queue, or of a key of a queue.

    `limits` are by queue or, as `queue/key`, by key; `keys` are those of jobs that have one.
    """
    active: defaultdict[str, set[str]] = defaultdict(set)
    for line in log:
        for place in (line.queue, f"{line.queue}/{keys.get(line.job_id)}"):
            if place not in limits:
                continue
            if line.type is EventType.STARTED:
                active[place].add(line.job_id)
            elif line.type not in _STAY:
                active[place].discard(line.job_id)
            if len(active[place]) > limits[place]:
                yield f"event {line.id}: {len(active[place])} jobs of {place} are active"


def rushes(log: Iterable[Line], queue: str, rate: int, window: int) -> Iterator[str]:
    """Where more jobs of a queue were started within a window (ms) than may be."""
    starts = sorted(
        line.at for line in log if line.type is EventType.STARTED and line.queue == queue
    )
    for i, start in enumerate(starts):
        in_window = bisect_left(starts, start + window) - i
        if in_window > rate:
            yield f"{in_window} jobs of {queue} were started within {window} ms of {start}"


def keys_of(jobs: Mapping[str, Body]) -> dict[str, str]:
    """The concurrency keys of jobs that have one, by the job's id."""
    return {
        job_id: job["concurrency_key"]
        for job_id, job in jobs.items()
        if job.get("concurrency_key") is not None
    }
