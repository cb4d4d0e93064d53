"""Reads the event log like a client that follows it, and checks its guarantees."""

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


class LoggedEvent(NamedTuple):
    """An event of the log. `at` is in ms since the epoch."""

    id: int
    type: EventType
    job_id: str
    queue: str
    at: int


async def read_log(url: str, since: int = 0, *, key: str | None = None) -> list[LoggedEvent]:
    """Return the events of the log after `since`, read from one server with an API key."""
    lines: list[LoggedEvent] = []
    async with _reader(url, key) as http:
        last = await _last_id(http)
        if last <= since:
            return lines
        async with http.stream("GET", "/events", params={"last_event_id": since}) as response:
            async for line in _lines(response):
                lines.append(line)
                if line.id >= last:
                    break
    return lines


async def last_event(url: str, *, key: str | None = None) -> int:
    """Return the id of the last event in the log."""
    async with _reader(url, key) as http:
        return await _last_id(http)


def _reader(url: str, key: str | None) -> httpx.AsyncClient:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=url + API, headers=headers, timeout=30, trust_env=False)


async def _last_id(http: httpx.AsyncClient) -> int:
    async with http.stream("GET", "/events") as response:
        return await anext(_ids(response))


async def _ids(response: httpx.Response) -> AsyncIterator[int]:
    async for text in response.aiter_lines():
        if text.startswith("id: "):
            yield int(text.removeprefix("id: "))


async def _lines(response: httpx.Response) -> AsyncIterator[LoggedEvent]:
    async for text in response.aiter_lines():
        if text.startswith("data: "):
            event = json.loads(text.removeprefix("data: "))
            yield LoggedEvent(
                event["id"],
                EventType(event["type"]),
                event["job_id"],
                event["queue"],
                round(datetime.fromisoformat(event["created_at"]).timestamp() * 1000),
            )


def order_violations(log: Sequence[LoggedEvent]) -> Iterator[str]:
    """Yield the events with a wrong order of ids, or with an invalid transition of their job."""
    for earlier, later in pairwise(log):
        if later.id <= earlier.id:
            yield f"event {later.id} came after event {earlier.id}"
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
            yield f"event {line.id}: {line.type} is no transition of {line.job_id} from {before}"
        states[line.job_id] = set(after) or set(JobState)


def concurrency_violations(
    log: Iterable[LoggedEvent], limits: Mapping[str, int], keys: Mapping[str, str]
) -> Iterator[str]:
    """Yield the events after which a concurrency limit was exceeded.

    `limits` are by `queue`, or by `queue/key` for a concurrency key. `keys` has the concurrency
    keys by job id.
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


def rate_violations(
    log: Iterable[LoggedEvent], queue: str, rate: int, window: int
) -> Iterator[str]:
    """Yield each window of `window` ms in which more than `rate` jobs of a queue started."""
    starts = sorted(
        line.at for line in log if line.type is EventType.STARTED and line.queue == queue
    )
    for i, start in enumerate(starts):
        in_window = bisect_left(starts, start + window) - i
        if in_window > rate:
            yield f"{in_window} jobs of {queue} started within {window} ms after {start}"


def keys_of(jobs: Mapping[str, Body]) -> dict[str, str]:
    """Return the concurrency keys by job id. Jobs without a key are omitted."""
    return {
        job_id: job["concurrency_key"]
        for job_id, job in jobs.items()
        if job.get("concurrency_key") is not None
    }
