"""Clients that enqueue the same unique keys at all servers, and a check of the keys.

A key must never have two unfinished jobs. A job is certainly unfinished from the answer that
reports it as new, or from its fetch, until the first request to complete it.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from corvo_schema import new_job_id
from corvo_schema.states import EventType
from support.api_client import Body
from support.event_log import LoggedEvent
from support.history import Call, History, Recorder

QUEUE = "load-unique"
VERBS = ("enqueue_unique", "enqueue_unique_batch")
_KEYS = tuple(f"key-{number}" for number in range(8))
_CONFLICTS = ("ignore", "ignore", "error")
"""`replace` is missing because it resets attempts, and the history checker expects them to grow."""
_BEGINNINGS = {EventType.ENQUEUED, EventType.RETRIED, EventType.REQUEUED}
_ENDS = {EventType.COMPLETED, EventType.DEAD, EventType.CANCELLED, EventType.DELETED}


class KeyProducer:
    """Enqueues jobs with unique keys that other clients use, too."""

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


class Lifetime(NamedTuple):
    """The time for which a job was certainly unfinished, in ms since the epoch."""

    begin: int
    end: float
    job_id: str


def key_violations(history: History, jobs: Mapping[str, Body]) -> Iterator[str]:
    """Yield the violations of unique keys in a history. `jobs` are all final jobs by id."""
    begins, ends = _begins(history), _ends(history)
    lives: defaultdict[str, list[Lifetime]] = defaultdict(list)
    for job_id, begin in begins.items():
        if job_id not in jobs:
            yield f"{job_id} was acknowledged as the job of its key but is missing"
            continue
        key = jobs[job_id].get("unique_key")
        if key is not None:
            lives[key].append(Lifetime(begin, ends.get(job_id, float("inf")), job_id))
    for key, found in lives.items():
        yield from _overlaps(key, sorted(found))
    yield from _stale_replies(history, _certain_ends(history))


def key_event_violations(log: Iterable[LoggedEvent], jobs: Mapping[str, Body]) -> Iterator[str]:
    """Yield the events after which a key had two unfinished jobs."""
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


def _overlaps(key: str, lives: Iterable[Lifetime]) -> Iterator[str]:
    last: Lifetime | None = None
    for life in lives:
        if life.end <= life.begin:
            continue  # It may have ended before the client received the answer.
        if last is not None and life.begin < last.end:
            yield (
                f"{key} has {life.job_id} since {life.begin}, but {last.job_id} has had the key "
                f"since {last.begin} and nobody completed that job before {last.end}"
            )
        if last is None or life.end > last.end:
            last = life


def _stale_replies(history: History, ended: Mapping[str, int]) -> Iterator[str]:
    """Yield the answers that name a job as the holder of its key after the job had ended."""
    for call in history.of(*VERBS):
        for _, answer in _outcomes(call):
            job_id = answer["job_id"]
            if answer["unique_existing"] and ended.get(job_id, call.asked_at) < call.asked_at:
                late = call.asked_at - ended[job_id]
                yield f"an answer named {job_id} as the job of its key {late} ms after its end"


def _begins(history: History) -> dict[str, int]:
    """Return the time from which each job existed for certain, by job id."""
    begins: dict[str, int] = {}
    for call in history.of(*VERBS, "fetch"):
        job_ids = (
            [job["job_id"] for job in (call.answer or {}).get("jobs", ())]
            if call.verb == "fetch"
            else [answer["job_id"] for _, answer in _outcomes(call) if _is_new(answer)]
        )
        for job_id in job_ids:
            at = call.answered_at or 0
            begins[job_id] = min(at, begins.get(job_id, at))
    return begins


def _ends(history: History) -> dict[str, int]:
    """Return the time of the first ack of each job that may have taken effect, by job id."""
    ends: dict[str, int] = {}
    for call in history.of("ack"):
        if call.may_have_effect:
            job_id = call.body["job_id"]
            ends[job_id] = min(call.asked_at, ends.get(job_id, call.asked_at))
    return ends


def _certain_ends(history: History) -> dict[str, int]:
    """Return the time by which each job had ended for certain, by job id."""
    ends: dict[str, int] = {}
    for call in history.of("ack"):
        if call.is_done and call.answered_at is not None:
            job_id = call.body["job_id"]
            ends[job_id] = min(call.answered_at, ends.get(job_id, call.answered_at))
    return ends


def _is_new(answer: Body) -> bool:
    return answer["status"] in {"pending", "scheduled"} and not answer["unique_existing"]


def _outcomes(call: Call) -> list[tuple[Body, Body]]:
    """Return each requested job with its part of the answer."""
    if not call.is_done:
        return []
    if call.verb == "enqueue_unique":
        return [(call.body, call.answer)]
    return list(zip(call.body["jobs"], call.answer["results"], strict=True))
