"""Jobs: written by the writer, read in full by anyone."""

from collections.abc import Collection, Sequence

from corvo_schema.states import JobState
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.postgres.bulk_updates import bulk_update_of
from corvo_server.store.postgres.head_cache import CachedHead
from corvo_server.store.postgres.pipeline import Pipeline, Rows
from corvo_server.store.postgres.rows import (
    SQL,
    Fields,
    Row,
    as_array,
    as_json,
    change_row,
    common_values,
    failure_row,
    id_set,
    merge_rows,
    new_job_row,
    replacement_row,
    to_event,
    to_failure,
    to_record,
)
from corvo_server.store.postgres.runs import runs_of
from corvo_server.store.records import Change, JobHead, JobRecord, NewJob
from corvo_server.store.rows.codes import STATE_CODES, STATES
from corvo_server.store.rows.heads import new_job_head, to_head

_ACTIVE = JobState.ACTIVE


class Jobs:
    """Implements `store.commit.tables.JobTable`. Heads that it returned are locked and current."""

    def __init__(
        self, pipeline: Pipeline, prefetch: Prefetch, cached: list[CachedHead] | None
    ) -> None:
        """Ask for all that `prefetch` foresees, without waiting for it.

        `cached` are the heads of the jobs that will be moved, if they are cached.
        """
        self._pipeline = pipeline
        self._wanted = prefetch.ids
        self._heads: dict[str, JobHead] = {}
        self._newest = 0
        self._seqs: list[int] = []
        self._reserved: Rows | None = None
        self._known_before = prefetch.known
        self._known: Rows | None = None
        self._cached_heads = cached
        self._prefetched: Rows | None = None
        self.stale: set[str] = set()
        """Jobs of which what was cached turned out not to be what there is."""
        self.written: dict[str, JobHead | None] = {}
        """By id, the head of an active job as it has been written; None: of one that is not."""
        if prefetch.jobs:
            self._reserved = pipeline.request(SQL.reserve_seqs, (prefetch.jobs,))
        if prefetch.known:
            self._known = pipeline.request(SQL.known_by_id, _known_values(prefetch.known))
        if cached is not None:
            seqs = as_array(head.seq for head, _ in cached)
            xids = as_array({xid for _, xid in cached})
            self._prefetched = pipeline.request(SQL.lock_cached, (seqs, xids))
        elif prefetch.ids:
            self._prefetched = pipeline.request(SQL.heads_by_id, (id_set(prefetch.ids),))

    def insert(self, jobs: Sequence[NewJob]) -> Sequence[int]:
        seqs = self._take_seqs(len(jobs))
        for job in jobs:
            # Among servers the order of times is that of clocks; within one it is strict.
            self._newest = job.created_at = max(job.created_at, self._newest)
        for common, run in runs_of(jobs, common_values):
            self._insert(common, seqs[run], jobs[run])
        for seq, job in zip(seqs, jobs, strict=True):
            if job.id in self._wanted:
                self._load_prefetched()
                self._heads[job.id] = new_job_head(seq, job)
        return seqs

    def _insert(self, common: Row | None, seqs: Sequence[int], jobs: Sequence[NewJob]) -> None:
        if common is None:
            rows = [new_job_row(seq, job) for seq, job in zip(seqs, jobs, strict=True)]
            self._pipeline.write(SQL.insert_jobs, (as_json(rows),))
            return
        values = (
            *common,
            as_array(seqs),
            as_array(job.created_at for job in jobs),
            as_json(job.id for job in jobs),
            as_json(job.payload for job in jobs),
        )
        self._pipeline.write(SQL.insert_similar_jobs, values)

    def _take_seqs(self, count: int) -> list[int]:
        if self._reserved is not None:
            self._reserve(self._reserved())
            self._reserved = None
        if len(self._seqs) < count:
            self._reserve(self._pipeline.ask(SQL.reserve_seqs, (count - len(self._seqs),)))
        taken, self._seqs = self._seqs[:count], self._seqs[count:]
        return taken

    def _reserve(self, rows: list[Row]) -> None:
        self._seqs += [seq for seq, _ in rows]
        self._newest = max(self._newest, rows[0][1])

    def known(self, job_ids: list[str]) -> dict[str, tuple[JobState, str | None]]:
        rows: list[Row] = []
        if self._known is not None:
            rows = self._known()
            self._known = None
        more = [job_id for job_id in job_ids if job_id not in self._known_before]
        if more:
            rows += self._pipeline.ask(SQL.known_by_id, _known_values(more))
        return {job_id: (STATES[code], batch_id) for job_id, code, batch_id in rows}

    def heads(self, job_ids: Collection[str]) -> dict[str, JobHead]:
        self._load_prefetched()
        more = [
            job_id for job_id in job_ids if job_id not in self._heads and job_id not in self._wanted
        ]
        if more:
            self._keep(self._pipeline.ask(SQL.heads_by_id, (id_set(more),)))
        return {job_id: self._heads[job_id] for job_id in job_ids if job_id in self._heads}

    def _load_prefetched(self) -> None:
        if self._prefetched is None:
            return
        rows, self._prefetched = self._prefetched(), None
        if self._cached_heads is None:
            self._keep(rows)
        elif rows == [(len(self._cached_heads),)]:
            self._heads.update((head.id, head) for head, _ in self._cached_heads)
        else:
            self.stale = self._wanted
            self._keep(self._pipeline.ask(SQL.heads_by_id, (id_set(self._wanted),)))

    def _keep(self, rows: list[Row]) -> list[JobHead]:
        heads = [to_head(row) for row in rows]
        self._heads.update((head.id, head) for head in heads)
        return heads

    def update(self, changes: list[Change]) -> None:
        for alike, run in runs_of(changes, bulk_update_of):
            if alike is None:
                self._update_heads(changes[run])
            else:
                self._pipeline.write(*alike.values_for(changes[run]))
        for change in changes:
            job = self._heads[change.job.id] = change.job
            is_held = job.state is _ACTIVE and change.replacement is None
            self.written[job.id] = job if is_held else None
        replaced = {
            change.job.seq: replacement_row(change.job.seq, change.replacement)
            for change in changes
            if change.replacement
        }
        if replaced:
            self._pipeline.write(SQL.replace_jobs, (as_json(replaced.values()),))
        failures = [
            failure_row(change.job.seq, change.failure) for change in changes if change.failure
        ]
        if failures:
            self._pipeline.write(SQL.insert_failures, (as_json(failures),))

    def _update_heads(self, changes: list[Change]) -> None:
        rows: dict[int, Fields] = {}  # a statement may change a row only once
        for change in changes:
            seq, row = change.job.seq, change_row(change)
            rows[seq] = merge_rows(rows[seq], row) if seq in rows else row
        self._pipeline.write(SQL.update_heads, (as_json(rows.values()),))

    def remove(self, jobs: list[JobHead]) -> None:
        for job in jobs:
            self._heads.pop(job.id, None)
            self.written[job.id] = None
        self._pipeline.write(SQL.delete_jobs, {"seqs": as_json(job.seq for job in jobs)})

    def due(self, now: int, limit: int) -> list[JobHead]:
        return self._keep(self._pipeline.ask(SQL.due_heads, (now, limit)))

    def lapsed(self, now: int, limit: int) -> list[JobHead]:
        return self._keep(self._pipeline.ask(SQL.lapsed_heads, (now, limit)))

    def expired(self, now: int, limit: int) -> list[JobHead]:
        return self._keep(self._pipeline.ask(SQL.expired_heads, (now, limit)))

    def ended(self, state: JobState, before: int, limit: int) -> list[JobHead]:
        values = {"state": STATE_CODES[state], "before": before, "limit": limit}
        return self._keep(self._pipeline.ask(SQL.ended_heads, values))


def _known_values(ids: Collection[str]) -> Fields:
    """The parameters of `known_by_id`."""
    return {"least": min(ids), "greatest": max(ids), "ids": id_set(ids)}


def find_jobs(pipeline: Pipeline, job_ids: Sequence[str]) -> list[JobRecord]:
    """The jobs that exist, in the order asked for, with their failures."""
    rows = pipeline.ask(SQL.records_by_id, (id_set(job_ids),))
    by_seq = {row[0]: to_record(row) for row in rows}
    if by_seq:
        for row in pipeline.ask(SQL.failures_by_seq, (as_json(by_seq),)):
            by_seq[row[0]].failures.append(to_failure(row))
    by_id = {record.head.id: record for record in by_seq.values()}
    return [by_id[job_id] for job_id in dict.fromkeys(job_ids) if job_id in by_id]


def find_job(pipeline: Pipeline, job_id: str) -> JobRecord | None:
    """One job with its failures and its events."""
    records = find_jobs(pipeline, [job_id])
    if not records:
        return None
    (record,) = records
    rows = pipeline.ask(SQL.events_of_job, (record.head.seq, job_id))
    record.events = [to_event(row) for row in rows]
    return record


def last_seq(pipeline: Pipeline) -> int:
    """The seq of the job that was enqueued last; 0 before the first."""
    ((last,),) = pipeline.ask(SQL.last_seq)
    return int(last)
