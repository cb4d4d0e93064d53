"""One open write transaction, and the effects of the changes that verbs make in it.

Every verb passes its changes to `record`. The transaction derives queue counters, batch counts,
unique locks, events and wake-up times from them in one place, so that no verb and no engine can
forget one. `finish` writes these effects.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from math import inf
from operator import attrgetter

import orjson

from corvo_schema import format_ms
from corvo_schema.errors import ErrorCode
from corvo_schema.rules import BATCH_COUNTS
from corvo_schema.states import EventType, JobState
from corvo_server.store.audit import AuditEntry
from corvo_server.store.commit.batches import callback_job
from corvo_server.store.commit.tables import BatchCount, Tables, Usage
from corvo_server.store.options import fill
from corvo_server.store.records import (
    Change,
    Commit,
    Event,
    JobHead,
    NewJob,
    NextTimes,
    Refusal,
)
from corvo_server.store.rows.codes import STATE_CODES
from corvo_server.store.rows.heads import new_job_head

_ENQUEUED, _FAILED, _WIDTH = 7, 8, 9
"""Indexes in the counters of a queue, after those of the seven states; and their number."""
_MAX_ERROR_LENGTH = 1000
"""Characters of an error message that the event log keeps."""
_BYTES_OF_JOB = 1000
"""Space of a job without its payload: its row, its index entries and its events."""
_QUEUE_AND_STATE = attrgetter("queue", "state")
_STARTED, _COMPLETED = EventType.STARTED, EventType.COMPLETED
_PENDING, _ACTIVE = JobState.PENDING, JobState.ACTIVE
"""Bound once, because reading a member of an enum is slow and every job needs them many times."""
_BATCH_COUNTER = {state: place for place, state in enumerate(BATCH_COUNTS)}


class Transaction:
    """Collects the writes of one group commit. Used on the writer's thread, for one attempt."""

    def __init__(self, tables: Tables, room: float = inf) -> None:
        """`room` is the space in bytes that new jobs may take."""
        self.tables = tables
        self.room = room
        self.latest = 0
        """Latest time in ms of any change in this transaction so far."""
        self._moves: defaultdict[tuple[str, JobState, str, JobState], int] = defaultdict(int)
        """Number of jobs that moved from one queue and state to another, not counted yet."""
        self._counters: defaultdict[str, list[int]] = defaultdict(lambda: [0] * _WIDTH)
        self._created_at: dict[str, int] = {}
        self._batches: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self._batch_ended_at: dict[str, int] = {}
        self._usage: defaultdict[str, Usage] = defaultdict(Usage)
        """Changes of what API keys with limits use, by name."""
        self._event_seqs: list[int] = []
        self._next_event_id: int | None = None
        self._audit: list[AuditEntry] = []
        self.has_removed = False
        """Whether jobs were deleted."""
        self.is_freeing = False
        """Whether the transaction deletes jobs or begins to. It may then take the last space."""
        self._ready: Counter[str] = Counter()
        """By queue, the number of jobs that can be fetched since this transaction.

        Without the announced ones.
        """
        self._announced: Counter[str] = Counter()
        """By queue, the number of new pending jobs for which fetches were woken already."""
        self._started: Counter[str] = Counter()
        """By queue, the number of pending jobs that became active."""
        self._no_longer_active: defaultdict[str, int] = defaultdict(int)
        """By queue, the number of jobs that left the active state."""
        self.commit = Commit([], {}, set(), {}, NextTimes())

    # Called by verbs

    def insert(self, jobs: list[NewJob], *, are_announced: bool = False) -> None:
        """Store new jobs and take their unique locks, which must be free.

        `are_announced`: fetches were woken for them before this commit.
        """
        if not jobs:
            return
        seqs = self.tables.jobs.insert(jobs)
        self.latest = max(self.latest, jobs[-1].created_at)  # `insert` made it the latest
        for (queue, state), number in Counter(map(_QUEUE_AND_STATE, jobs)).items():
            self._created_at.setdefault(queue, jobs[0].created_at)
            counters = self._counters[queue]
            counters[STATE_CODES[state]] += number
            counters[_ENQUEUED] += number
            if state is _PENDING:
                (self._announced if are_announced else self._ready)[queue] += number
        self._add_enqueued_events(seqs, jobs)
        for seq, job in zip(seqs, jobs, strict=True):
            if job.scheduled_at is not None or job.expire_at is not None:
                self._note_waiting_times(job)
            if job.unique_key is not None:
                self.tables.locks.take(new_job_head(seq, job), job.created_at)
            if job.charged_to is not None:
                self._charge(job.charged_to, 1, job.charged_bytes)

    def complete(self, jobs: list[NewJob]) -> None:
        """Give new jobs the defaults of their queues for the options that their request left out.

        Call before anything depends on the options of the jobs.
        """
        defaults = self.tables.queues.defaults({job.queue for job in jobs})
        if not defaults:
            return
        for job in jobs:
            if job.queue in defaults:
                fill(job, defaults[job.queue], job.left_out)

    def take_room(self, payload: str) -> bool:
        """Reserve the space of a new job. Return False, and reserve nothing, if it is missing."""
        # A character takes up to four bytes. To count them would cost more than it is worth.
        size = _BYTES_OF_JOB + (len(payload) if payload.isascii() else 4 * len(payload))
        if size > self.room:
            return False
        self.room -= size
        return True

    def write(self, changes: list[Change]) -> None:
        """Write changes in their order. Call after `record`."""
        if changes:
            self.tables.jobs.update(changes)

    def remove(
        self,
        jobs: list[JobHead],
        event: EventType,
        now: int,
        reason: str | None = None,
        actor: str | None = None,
    ) -> None:
        """Delete jobs with their failures and locks. Their events stay. No job may be active."""
        for job in jobs:
            self._counters[job.queue][STATE_CODES[job.state]] -= 1
            self._count_in_batch(job, JobState.CANCELLED, now)
            self._add_event(job.seq, job, event, now, _reason_data(reason, actor))
            if job.unique_key is not None and not job.state.is_finished:
                self.tables.locks.free(job)
            if job.charged_to is not None:
                self._charge(job.charged_to, -_waits(job), -job.charged_bytes)
        if jobs:
            self.tables.jobs.remove(jobs)
            self.has_removed = self.is_freeing = True

    def record(self, before: JobHead, change: Change, actor: str | None = None) -> None:
        """Record the effects of `change` on counters, batches, locks and events.

        `actor` is the name of the caller for the event. Call before `write`, which stores the
        change itself.
        """
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
        if before.charged_to is not None:
            more = after.charged_bytes - before.charged_bytes
            self._charge(before.charged_to, _waits(after) - _waits(before), more)
        if change.failure is not None:
            self._counters[queue][_FAILED] += 1
        if change.event is not None:
            data = _change_data(change, actor)
            self._add_event(after.seq, after, change.event, change.at, data)
        self._note_wake_up_times(after)

    def audit(self, entry: AuditEntry) -> None:
        """Add an entry to the audit log."""
        self._audit.append(entry)

    def open_queue(self, queue: str) -> None:
        """Report that the settings of `queue` changed, so that waiting fetches look again."""
        self.commit.opened.add(queue)

    def open_queue_at(self, queue: str, at: int) -> None:
        """Report that the rate limit of `queue` lets jobs start from `at` (ms) on."""
        self.commit.opens_at[queue] = at

    def await_occurrence(self, at: int | None) -> None:
        """Report the next occurrence of a schedule in ms; None if it has none."""
        times = self.commit.next_times
        times.occurrence = _earlier(times.occurrence, at)

    def active_delta(self, queue: str) -> int:
        """Return the change of the number of active jobs of `queue` in this transaction so far."""
        self._count_moves()
        counters = self._counters.get(queue)
        return counters[STATE_CODES[JobState.ACTIVE]] if counters else 0

    def write_counts(self) -> None:
        """Write the counts of batches, queues and API keys that were collected so far.

        Enqueue the callbacks of batches that ended with it.
        """
        self._write_batch_counts()
        self._count_moves()
        if self._counters:
            self.tables.queues.count(
                [
                    (queue, self._created_at.get(queue, 0), *counters)  # type: ignore[misc]
                    for queue, counters in self._counters.items()
                ]
            )
            self._counters.clear()
        if self._usage:
            self.tables.key_usage.add(sorted(self._usage.items()))
            self._usage.clear()

    def finish(self) -> Commit:
        """Write the collected counters, batch counts and events, and return the effects.

        Nothing may be written in this transaction afterwards.
        """
        self.write_counts()
        self._report_ready()
        if self._event_seqs:
            self.tables.events.append(
                self.commit.events, self._event_seqs, are_jobs_there=not self.has_removed
            )
            self.commit.has_events = True
        if self._audit:
            self.tables.audit.append(self._audit)
        return self.commit

    def check_batch_end(self, batch_id: str, now: int) -> None:
        """Make `finish` check whether a batch has ended, although none of its jobs ended.

        Needed for a batch without jobs. `now` is the time of its end in ms.
        """
        self._batch_ended_at[batch_id] = now
        _ = self._batches[batch_id]  # creates the entry, with counts of zero

    # Effects of the changes

    def _write_batch_counts(self) -> None:
        """Add ended jobs to their batches. Enqueue the callbacks of batches that ended with it."""
        if not self._batches:
            return
        ended = self.tables.batches.count(
            [
                BatchCount(batch_id, succeeded, failed, cancelled, self._batch_ended_at[batch_id])
                for batch_id, (succeeded, failed, cancelled) in self._batches.items()
            ]
        )
        self._batches.clear()
        callbacks = [callback_job(batch) for batch in ended if batch.callback_queue is not None]
        if callbacks:
            self.complete(callbacks)
            self.insert(callbacks)

    def _count_moves(self) -> None:
        """Add the moves recorded so far to the counters of the queues."""
        for (old_queue, old_state, queue, state), jobs in self._moves.items():
            self._created_at.setdefault(queue, self.latest)
            self._counters[old_queue][STATE_CODES[old_state]] -= jobs
            self._counters[queue][STATE_CODES[state]] += jobs
            if state is _PENDING:
                self._ready[queue] += jobs
            elif old_state is _PENDING and state is _ACTIVE:
                self._started[old_queue] += jobs
            if old_state is _ACTIVE:
                self._no_longer_active[old_queue] += jobs
        self._moves.clear()

    def _report_ready(self) -> None:
        """Set `Commit.ready`. In queues that limit active jobs, each job that ended adds one."""
        # Starts are set off against announced jobs only. A fetch that an earlier commit woke takes
        # a job of that commit: if its start cancelled out another job that became ready in this
        # commit, no fetch would be woken for that one.
        ready = self._ready + (self._announced - self._started)
        if self._no_longer_active:
            for queue in self.tables.queues.limited(self._no_longer_active):
                ready[queue] += self._no_longer_active[queue]
        self.commit.ready = ready

    def _count_in_batch(self, job: JobHead, ended_as: JobState, now: int) -> None:
        if job.batch_id is None or job.is_batch_counted:
            return
        job.is_batch_counted = True
        self._batches[job.batch_id][_BATCH_COUNTER[ended_as]] += 1
        self._batch_ended_at[job.batch_id] = now

    def _charge(self, name: str, waiting: int, more_bytes: int) -> None:
        self._usage[name] = self._usage[name].plus(waiting, more_bytes)

    def _add_event(
        self, seq: int, job: JobHead, event: EventType, at: int, data: str | None
    ) -> None:
        events = self.commit.events
        events.append(Event(self._take_event_ids(1), event, job.id, job.queue, at, data))
        self._event_seqs.append(seq)

    def _add_enqueued_events(self, seqs: Sequence[int], jobs: list[NewJob]) -> None:
        event = EventType.ENQUEUED
        self.commit.events += [
            Event(
                number,
                event,
                job.id,
                job.queue,
                job.created_at,
                _reason_data(job.reason, job.actor),
            )
            for number, job in enumerate(jobs, self._take_event_ids(len(jobs)))
        ]
        self._event_seqs += seqs

    def _take_event_ids(self, count: int) -> int:
        """Reserve `count` consecutive event ids and return the first."""
        if self._next_event_id is None:
            self._next_event_id = self.tables.events.next_id()
        first = self._next_event_id
        self._next_event_id += count
        return first

    def _note_wake_up_times(self, job: JobHead) -> None:
        """Lower `Commit.next_times` to the times at which services must look at this job."""
        state = job.state
        if state is _ACTIVE:
            times = self.commit.next_times
            times.lease_end = _earlier(times.lease_end, job.lease_expires_at)
        elif not state.is_finished:
            self._note_waiting_times(job)

    def _note_waiting_times(self, job: JobHead | NewJob) -> None:
        times = self.commit.next_times
        if job.state is not _PENDING:
            times.due = _earlier(times.due, job.scheduled_at)
        times.expiry = _earlier(times.expiry, job.expire_at)


def _waits(job: JobHead) -> int:
    """Return 1 if a job counts as waiting for the limits of API keys, else 0."""
    return 0 if job.state is _ACTIVE or job.state.is_finished else 1


def no_room() -> Refusal:
    """Return the refusal of a new row for which there is no space."""
    return Refusal(
        ErrorCode.STORAGE_FULL,
        "The disk is too full for new jobs. Nothing was done. Delete jobs or free space on the "
        "disk, then retry.",
    )


def _earlier(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


# The `data` of events: a JSON object as text


def _change_data(change: Change, actor: str | None) -> str | None:
    """Return the event data of a transition; None if it has no details."""
    if change.event is _STARTED:
        return _started_data(change.job.attempt, change.job.worker_id, actor)
    if change.event is _COMPLETED:
        return None if actor is None else _actor_data(actor)
    data: dict[str, object] = {}
    if change.failure is not None:
        error = change.failure.error[:_MAX_ERROR_LENGTH]
        data = {"attempt": change.failure.attempt, "error": error}
    if change.event is EventType.RETRYING:
        data["next_attempt_at"] = format_ms(change.job.scheduled_at or change.at)
    if change.progress is not None:
        data["progress"] = orjson.Fragment(change.progress)
    if change.reason is not None:
        data["reason"] = change.reason
    if actor is not None:
        data["actor"] = actor
    return orjson.dumps(data).decode() if data else None


def _reason_data(reason: str | None, actor: str | None) -> str | None:
    """Return the event data of an enqueue or a removal; None if it has no details."""
    if reason is None:
        return None if actor is None else _actor_data(actor)
    data = {"reason": reason}
    if actor is not None:
        data["actor"] = actor
    return orjson.dumps(data).decode()


@lru_cache(maxsize=256)
def _actor_data(actor: str) -> str:
    return orjson.dumps({"actor": actor}).decode()


@lru_cache(maxsize=256)
def _started_data(attempt: int, worker_id: str | None, actor: str | None) -> str:
    # Cached, because the data is the same for nearly all jobs of a fetch.
    data = {"attempt": attempt, "worker_id": worker_id}
    return orjson.dumps(data if actor is None else data | {"actor": actor}).decode()
