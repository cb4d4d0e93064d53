"""The table of jobs: the writer's access to it, and reads of whole jobs."""

from collections.abc import Collection, Sequence

import orjson

from corvo_schema.states import JobState
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.tables import KnownJob
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
from corvo_server.store.sizes import MAX_FAILURES, MAX_TIMELINE

_ACTIVE = JobState.ACTIVE


class Jobs:
    """Implements `store.commit.tables.JobTable`.

    The rows of all heads that it returns are locked until the commit.
    """

    def __init__(
        self, pipeline: Pipeline, prefetch: Prefetch, cached: list[CachedHead] | None
    ) -> None:
        """Send statements for all that is in `prefetch`, without waiting for them.

        `cached` are the cached heads of the jobs in `prefetch`, or None. With them, the statement
        only locks the rows and checks that they are unchanged.
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
        """Ids of the jobs in `prefetch`, if a cached head differs from its row; else empty."""
        self.written: dict[str, JobHead | None] = {}
        """The new heads of written jobs by id; None for jobs that are not active now."""
        if prefetch.jobs:
            self._reserved = pipeline.request(SQL.reserve_seqs, (prefetch.jobs,))
        if prefetch.known:
            self._known = pipeline.request(SQL.known_by_id, _known_values(prefetch.known))
        if cached is not None:
            seqs = as_array(head.seq for head, _ in cached)
            xids = as_array({xid for _, xid in cached})
            self._prefetched = pipeline.request(SQL.lock_cached_jobs, (seqs, xids))
        elif prefetch.ids:
            self._prefetched = pipeline.request(SQL.heads_by_id, (id_set(prefetch.ids),))

    def insert(self, jobs: Sequence[NewJob]) -> Sequence[int]:
        seqs = self._take_seqs(len(jobs))
        for job in jobs:
            # Times of one server never decrease with seq. Between servers they may, because their
            # transactions overlap.
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
            jobs[0].charged_to,  # decides whether the bytes are counted
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

    def known(self, job_ids: list[str]) -> dict[str, KnownJob]:
        rows: list[Row] = []
        if self._known is not None:
            rows = self._known()
            self._known = None
        more = [job_id for job_id in job_ids if job_id not in self._known_before]
        if more:
            rows += self._pipeline.ask(SQL.known_by_id, _known_values(more))
        return {
            job_id: KnownJob(seq, STATES[code], batch_id, queue)
            for job_id, seq, code, batch_id, queue in rows
        }

    def other_payloads(self, jobs: Sequence[NewJob]) -> list[int]:
        values = as_json(job.id for job in jobs), as_json(job.payload for job in jobs)
        return [place - 1 for (place,) in self._pipeline.ask(SQL.other_payloads, values)]

    def heads(self, job_ids: Collection[str]) -> dict[str, JobHead]:
        self._load_prefetched()
        more = [
            job_id for job_id in job_ids if job_id not in self._heads and job_id not in self._wanted
        ]
        if more:
            self._note_heads(self._pipeline.ask(SQL.heads_by_id, (id_set(more),)))
        return {job_id: self._heads[job_id] for job_id in job_ids if job_id in self._heads}

    def _load_prefetched(self) -> None:
        if self._prefetched is None:
            return
        rows, self._prefetched = self._prefetched(), None
        if self._cached_heads is None:
            self._note_heads(rows)
        elif rows == [(len(self._cached_heads),)]:
            self._heads.update((head.id, head) for head, _ in self._cached_heads)
        else:
            self.stale = self._wanted
            self._note_heads(self._pipeline.ask(SQL.heads_by_id, (id_set(self._wanted),)))

    def _note_heads(self, rows: list[Row]) -> list[JobHead]:
        heads = [to_head(row) for row in rows]
        self._heads.update((head.id, head) for head in heads)
        return heads

    def update(self, changes: list[Change]) -> None:
        for bulk_update, run in runs_of(changes, bulk_update_of):
            if bulk_update is None:
                self._update_heads(changes[run])
            else:
                self._pipeline.write(*bulk_update.values_for(changes[run]))
        for change in changes:
            job = self._heads[change.job.id] = change.job
            is_cacheable = job.state is _ACTIVE and change.replacement is None
            self.written[job.id] = job if is_cacheable else None
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
        # An UPDATE changes each row at most once, so several changes of one job become one row.
        rows: dict[int, Fields] = {}
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
        return self._note_heads(self._pipeline.ask(SQL.due_heads, (now, limit)))

    def lapsed(self, now: int, limit: int) -> list[JobHead]:
        return self._note_heads(self._pipeline.ask(SQL.expired_lease_heads, (now, limit)))

    def expired(self, now: int, limit: int) -> list[JobHead]:
        return self._note_heads(self._pipeline.ask(SQL.expired_heads, (now, limit)))

    def ended(self, state: JobState, before: int, limit: int) -> list[JobHead]:
        values = {"state": STATE_CODES[state], "before": before, "limit": limit}
        return self._note_heads(self._pipeline.ask(SQL.finished_heads, values))


def _known_values(ids: Collection[str]) -> Fields:
    """Return the parameters of `known_by_id`."""
    return {"least": min(ids), "greatest": max(ids), "ids": id_set(ids)}


def find_jobs(pipeline: Pipeline, job_ids: Sequence[str]) -> list[JobRecord]:
    """Return the jobs that exist, in the order of `job_ids`, with their failures."""
    rows = pipeline.ask(SQL.records_by_id, (id_set(job_ids),))
    by_seq = {row[0]: to_record(row) for row in rows}
    if by_seq:
        for row in pipeline.ask(SQL.failures_by_seq, (as_json(by_seq), MAX_FAILURES)):
            by_seq[row[0]].failures.append(to_failure(row))
    by_id = {record.head.id: record for record in by_seq.values()}
    return [by_id[job_id] for job_id in dict.fromkeys(job_ids) if job_id in by_id]


def sizes(pipeline: Pipeline, job_ids: Sequence[str]) -> dict[str, int]:
    """Return the bytes of documents and errors of the jobs that exist, by id."""
    rows = pipeline.ask(SQL.sizes_by_id, (MAX_FAILURES, id_set(job_ids)))
    return dict(rows)


def find_job(pipeline: Pipeline, job_id: str) -> JobRecord | None:
    """Return a job with its failures and events; None if it does not exist."""
    records = find_jobs(pipeline, [job_id])
    if not records:
        return None
    (record,) = records
    rows = pipeline.ask(SQL.events_of_job, (record.head.seq, job_id, MAX_TIMELINE))
    record.events = [to_event(row) for row in rows]
    return record


def last_seq(pipeline: Pipeline) -> int:
    """Return the highest seq of all stored jobs; 0 if there are none."""
    ((last,),) = pipeline.ask(SQL.last_seq)
    return int(last)


def tags_of(pipeline: Pipeline, job_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the tags of the existing jobs that have some, by id."""
    rows = pipeline.ask(SQL.tags_of_jobs, (as_json(job_ids),))
    return {job_id: orjson.loads(tags) for job_id, tags in rows}
