"""One open write transaction, and all that follows from the changes made in it.

Every verb reports what it changed through `record`; queue counters, batch counts, unique locks,
events and wake-ups are derived there, once, so that no verb and no engine can forget one. `finish`
writes what was gathered.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter

import orjson

from corvo_schema import format_ms
from corvo_schema.rules import BATCH_COUNTS
from corvo_schema.states import EventType, JobState
from corvo_server.store.commit.batches import callback_job
from corvo_server.store.commit.tables import BatchCount, Tables
from corvo_server.store.records import Change, Commit, Event, JobHead, NewJob, NextTimes
from corvo_server.store.rows.codes import STATE_CODES
from corvo_server.store.rows.heads import new_job_head

_ENQUEUED, _FAILED, _WIDTH = 7, 8, 9
"""Places in a queue's counters after those of the seven states."""
_LINE = attrgetter("queue", "state")
_LONGEST_ERROR = 1000
"""Characters of an error that the event log keeps."""
_STARTED, _COMPLETED = EventType.STARTED, EventType.COMPLETED
_PENDING, _ACTIVE = JobState.PENDING, JobState.ACTIVE
"""Named once: a member is looked up slowly, and every job asks for them many times."""
_BATCH_PLACE = {state: place for place, state in enumerate(BATCH_COUNTS)}


class Transaction:
    """What one group commit writes. Lives on the writer's thread, for one attempt at the commit."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.latest = 0
        """The latest moment (ms) at which anything happened in it so far."""
        self._moves: defaultdict[tuple[str, JobState, str, JobState], int] = defaultdict(int)
        """How many jobs went from a queue and state to another; counted at the end, all at once."""
        self._counters: defaultdict[str, list[int]] = defaultdict(lambda: [0] * _WIDTH)
        self._created_at: dict[str, int] = {}
        self._batches: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._batch_ended_at: dict[str, int] = {}
        self._event_seqs: list[int] = []
        self._next_event_id: int | None = None
        self._has_removed = False
        self._ended_in: defaultdict[str, int] = defaultdict(int)
        self.commit = Commit([], {}, set(), {}, NextTimes())

    # What verbs call

    def insert(self, jobs: list[NewJob]) -> None:
        """Store new jobs and take their unique locks, which must be free."""
        if not jobs:
            return
        seqs = self.tables.jobs.insert(jobs)
        self.latest = max(self.latest, jobs[-1].created_at)  # which `insert` saw to
        for (queue, state), number in Counter(map(_LINE, jobs)).items():
            self._created_at.setdefault(queue, jobs[0].created_at)
            counters = self._counters[queue]
            counters[STATE_CODES[state]] += number
            counters[_ENQUEUED] += number
            if state is _PENDING:
                self._count_ready(queue, number)
        self._emit_enqueued(seqs, jobs)
        for seq, job in zip(seqs, jobs, strict=True):
            if job.scheduled_at is not None or job.expire_at is not None:
                self._await_turn(job)
            if job.unique_key is not None:
                self.tables.locks.take(new_job_head(seq, job), job.created_at)

    def write(self, changes: list[Change]) -> None:
        """Write changes that `record` has seen, in their order."""
        if changes:
            self.tables.jobs.update(changes)

    def remove(
        self, jobs: list[JobHead], event: EventType, now: int, reason: str | None = None
    ) -> None:
        """Delete jobs that are not active, with their failures and locks; their events stay."""
        for job in jobs:
            self._counters[job.queue][STATE_CODES[job.state]] -= 1
            self._count_in_batch(job, JobState.CANCELLED, now)
            self._emit(job.seq, job, event, now, _reason_data(reason))
            if job.unique_key is not None and not job.state.is_finished:
                self.tables.locks.free(job)
        if jobs:
            self.tables.jobs.remove(jobs)
            self._has_removed = True

    def record(self, before: JobHead, change: Change) -> None:
        """Note what follows from `change`, which `write` will store. Call before `write`."""
        after = change.job
        state, old_state = after.state, before.state
        queue, old_queue = after.queue, before.queue
        self.latest = max(self.latest, change.at)
        if old_state is not state or old_queue != queue:
            self._moves[old_queue, old_state, queue, state] += 1
            if old_queue != queue:
                self._created_at.setdefault(queue, change.at)
        if state.is_finished and not old_state.is_finished:
            self._count_in_batch(after, state, change.at)
            if before.unique_key is not None:
                self.tables.locks.free(before)
        if change.failure is not None:
            self._counters[queue][_FAILED] += 1
        if change.event is not None:
            self._emit(after.seq, after, change.event, change.at, _event_data(change))
        self._await_times(after)

    def open_queue(self, queue: str) -> None:
        """A queue may serve again: waiting fetches are to look."""
        self.commit.opened.add(queue)

    def open_queue_at(self, queue: str, at: int) -> None:
        """A throttled queue has jobs that may be started from `at` on."""
        self.commit.opens_at[queue] = at

    def await_occurrence(self, at: int | None) -> None:
        """A schedule waits for this moment."""
        times = self.commit.next_times
        times.occurrence = _earlier(times.occurrence, at)

    def active_delta(self, queue: str) -> int:
        """How the number of active jobs of `queue` changed in this transaction, so far."""
        self._count_moves()
        counters = self._counters.get(queue)
        return counters[STATE_CODES[JobState.ACTIVE]] if counters else 0

    def finish(self) -> Commit:
        """Write the gathered counters, batches and events. The transaction is complete then."""
        self._settle_batches()
        self._count_moves()
        self._count_freed_places()
        if self._counters:
            self.tables.queues.count(
                [
                    (queue, self._created_at.get(queue, 0), *counters)  # type: ignore[misc]
                    for queue, counters in self._counters.items()
                ]
            )
        if self._event_seqs:
            self.tables.events.append(
                self.commit.events, self._event_seqs, are_jobs_there=not self._has_removed
            )
            self.commit.has_events = True
        return self.commit

    # What follows

    def _settle_batches(self) -> None:
        """Count ended jobs in their batches; enqueue the callbacks of batches that are complete."""
        if not self._batches:
            return
        ended = self.tables.batches.count(
            [
                BatchCount(batch_id, succeeded, failed, cancelled, self._batch_ended_at[batch_id])
                for batch_id, (succeeded, failed, cancelled) in self._batches.items()
            ]
        )
        self.insert([callback_job(batch) for batch in ended if batch.callback_queue is not None])

    def _count_moves(self) -> None:
        for (old_queue, old_state, queue, state), jobs in self._moves.items():
            self._created_at.setdefault(queue, self.latest)
            self._counters[old_queue][STATE_CODES[old_state]] -= jobs
            self._counters[queue][STATE_CODES[state]] += jobs
            if state is _PENDING:
                self._count_ready(queue, jobs)
            elif old_state is _PENDING and state is _ACTIVE:
                # Not when it ended otherwise: an expired job was not ready, and must not be set off
                # against one that is.
                self._count_ready(old_queue, -jobs)
            if old_state is _ACTIVE:
                self._ended_in[old_queue] += jobs
        self._moves.clear()

    def _count_freed_places(self) -> None:
        """Where the number of active jobs is limited, one that ended lets another one start."""
        if self._ended_in:
            for queue in self.tables.queues.limited(self._ended_in):
                self._count_ready(queue, self._ended_in[queue])

    def settle_batch(self, batch_id: str, now: int) -> None:
        """Look whether a batch has ended although none of its jobs did: one without jobs."""
        self._batch_ended_at[batch_id] = now
        _ = self._batches[batch_id]

    def _count_in_batch(self, job: JobHead, ended_as: JobState, now: int) -> None:
        if job.batch_id is None or job.is_batch_counted:
            return
        job.is_batch_counted = True
        self._batches[job.batch_id][_BATCH_PLACE[ended_as]] += 1
        self._batch_ended_at[job.batch_id] = now

    def _count_ready(self, queue: str, jobs: int) -> None:
        ready = self.commit.ready
        ready[queue] = ready.get(queue, 0) + jobs

    def _emit(self, seq: int, job: JobHead, event: EventType, at: int, data: str | None) -> None:
        events = self.commit.events
        events.append(Event(self._number_events(1), event, job.id, job.queue, at, data))
        self._event_seqs.append(seq)

    def _emit_enqueued(self, seqs: Sequence[int], jobs: list[NewJob]) -> None:
        event = EventType.ENQUEUED
        self.commit.events += [
            Event(number, event, job.id, job.queue, job.created_at, _reason_data(job.reason))
            for number, job in enumerate(jobs, self._number_events(len(jobs)))
        ]
        self._event_seqs += seqs

    def _number_events(self, count: int) -> int:
        """The id of the first of so many more events."""
        if self._next_event_id is None:
            self._next_event_id = self.tables.events.next_id()
        first = self._next_event_id
        self._next_event_id += count
        return first

    def _await_times(self, job: JobHead) -> None:
        """Wake-ups for fetches and for the services that this job now waits for."""
        state = job.state
        if state is _ACTIVE:
            times = self.commit.next_times
            times.lease_end = _earlier(times.lease_end, job.lease_expires_at)
        elif not state.is_finished:
            self._await_turn(job)

    def _await_turn(self, job: JobHead | NewJob) -> None:
        times = self.commit.next_times
        if job.state is not _PENDING:
            times.due = _earlier(times.due, job.scheduled_at)
        times.expiry = _earlier(times.expiry, job.expire_at)


def _earlier(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _reason_data(reason: str | None) -> str | None:
    """What is kept of an enqueue or a removal: why, where the server did it by itself."""
    return None if reason is None else orjson.dumps({"reason": reason}).decode()


def _event_data(change: Change) -> str | None:
    """A JSON object as text; None where there is nothing more to say."""
    if change.event is _STARTED:
        return _started_data(change.job.attempt, change.job.worker_id)
    if change.event is _COMPLETED:
        return None
    data: dict[str, object] = {}
    if change.failure is not None:
        error = change.failure.error[:_LONGEST_ERROR]
        data = {"attempt": change.failure.attempt, "error": error}
    if change.event is EventType.RETRYING:
        data["next_attempt_at"] = format_ms(change.job.scheduled_at or change.at)
    if change.progress is not None:
        data["progress"] = orjson.Fragment(change.progress)
    if change.reason is not None:
        data["reason"] = change.reason
    return orjson.dumps(data).decode() if data else None


@lru_cache(maxsize=256)
def _started_data(attempt: int, worker_id: str | None) -> str:
    # The same for nearly all jobs of a fetch.
    return orjson.dumps({"attempt": attempt, "worker_id": worker_id}).decode()
