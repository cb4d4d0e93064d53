"""Clients that want the same keys at all servers at once, and a check that each key had one job.

Two jobs of one key must not both be there unfinished at any time. When a job was, is known from
outside as far as this: from an answer that named it as new, or handed it out, until somebody asked
for the first time to complete it.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from corvo_schema import new_job_id
from corvo_schema.states import EventType
from support.api_client import Body
from support.event_log import Line
from support.history import Call, History, Recorder

QUEUE = "load-unique"
VERBS = ("enqueue_unique", "enqueue_unique_batch")
_KEYS = tuple(f"key-{number}" for number in range(8))
_CONFLICTS = ("ignore", "ignore", "error")
"""`replace` would begin the attempts anew, which are to grow in the histories that are checked."""
_BEGINNINGS = {EventType.ENQUEUED, EventType.RETRIED, EventType.REQUEUED}
_ENDS = {EventType.COMPLETED, EventType.DEAD, EventType.CANCELLED, EventType.DELETED}


class Rival:
    """Enqueues jobs with keys that others enqueue as well."""

    def __init__(self, chance: random.Random, recorder: Recorder) -> None:
        self._random = chance
        self._recorder = recorder

    async def run(self) -> None:
        """Enqueue without a pause."""
        while True:
            number = self._random.choice((1, 1, 2, 3))
            jobs = [self._job(key) for key in self._random.sample(_KEYS, number)]
            if number == 1:
                await self._recorder.answered("enqueue_unique", jobs[0])
            else:
                await self._recorder.answered("enqueue_unique_batch", {"jobs": jobs})

    def _job(self, key: str) -> Body:
        job = {
            "queue": QUEUE,
            "payload": {"key": key},
            "unique_key": key,
            "on_conflict": self._random.choice(_CONFLICTS),
            "priority": 0,
            "max_retries": 1000,
            "retry_backoff": "none",
        }
        if self._random.random() < 0.5:
            job["job_id"] = new_job_id()
        return job


class Life(NamedTuple):
    """For how long a job was unfinished for certain, in ms since the epoch."""

    begin: int
    end: float
    job_id: str


def twins(history: History, jobs: Mapping[str, Body]) -> Iterator[str]:
    """What is wrong with the jobs that have keys, by what clients were told. `jobs` are all."""
    begins, ends = _begins(history), _ends(history)
    lives: defaultdict[str, list[Life]] = defaultdict(list)
    for job_id, begin in begins.items():
        if job_id not in jobs:
            yield f"{job_id} was acknowledged as the one of its key and is not there"
            continue
        key = jobs[job_id].get("unique_key")
        if key is not None:
            lives[key].append(Life(begin, ends.get(job_id, float("inf")), job_id))
    for key, found in lives.items():
        yield from _overlaps(key, sorted(found))
    yield from _ghosts(history, _certain_ends(history))


def twin_events(log: Iterable[Line], jobs: Mapping[str, Body]) -> Iterator[str]:
    """Where two jobs of one key were unfinished, by the log of events."""
    holders: dict[str, set[str]] = defaultdict(set)
    for line in log:
        key = jobs.get(line.job_id, {}).get("unique_key")
        if key is None:
            continue
        if line.type in _BEGINNINGS:
            holders[key].add(line.job_id)
            if len(holders[key]) > 1:
                yield f"event {line.id}: {key} has the jobs {sorted(holders[key])}"
        elif line.type in _ENDS:
            holders[key].discard(line.job_id)


def _overlaps(key: str, lives: Iterable[Life]) -> Iterator[str]:
    last: Life | None = None
    for life in lives:
        if life.end <= life.begin:
            continue  # it may have ended before we heard of it
        if last is not None and life.begin < last.end:
            yield (
                f"{key} has {life.job_id} since {life.begin}, while {last.job_id}, there since "
                f"{last.begin}, was not asked to end before {last.end}"
            )
        if last is None or life.end > last.end:
            last = life


def _ghosts(history: History, ended: Mapping[str, int]) -> Iterator[str]:
    """Answers that name a job as being there which had ended before they were asked."""
    for call in history.of(*VERBS):
        for _, answer in _outcomes(call):
            job_id = answer["job_id"]
            if answer["unique_existing"] and ended.get(job_id, call.asked_at) < call.asked_at:
                yield f"{job_id} was told to hold its key {call.asked_at - ended[job_id]} ms late"


def _begins(history: History) -> dict[str, int]:
    """When each job that a rival got, or a fetch handed out, was there for certain."""
    begins: dict[str, int] = {}
    for call in history.of(*VERBS, "fetch"):
        told = (
            [job["job_id"] for job in (call.answer or {}).get("jobs", ())]
            if call.verb == "fetch"
            else [answer["job_id"] for _, answer in _outcomes(call) if _is_new(answer)]
        )
        for job_id in told:
            at = call.answered_at or 0
            begins[job_id] = min(at, begins.get(job_id, at))
    return begins


def _ends(history: History) -> dict[str, int]:
    """When each job was asked to end for the first time, by a call that may have had an effect."""
    ends: dict[str, int] = {}
    for call in history.of("ack"):
        if call.may_have_effect:
            job_id = call.body["job_id"]
            ends[job_id] = min(call.asked_at, ends.get(job_id, call.asked_at))
    return ends


def _certain_ends(history: History) -> dict[str, int]:
    """When each job had ended for certain."""
    ends: dict[str, int] = {}
    for call in history.of("ack"):
        if call.is_done and call.answered_at is not None:
            job_id = call.body["job_id"]
            ends[job_id] = min(call.answered_at, ends.get(job_id, call.answered_at))
    return ends


def _is_new(answer: Body) -> bool:
    return answer["status"] in {"pending", "scheduled"} and not answer["unique_existing"]


def _outcomes(call: Call) -> list[tuple[Body, Body]]:
    """The jobs that were asked for, each with what was answered about it."""
    if not call.is_done:
        return []
    if call.verb == "enqueue_unique":
        return [(call.body, call.answer)]
    return list(zip(call.body["jobs"], call.answer["results"], strict=True))
