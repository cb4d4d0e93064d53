"""Job heads from stored rows and from new jobs, the same on every engine."""

from typing import Any

from msgspec.structs import replace

from corvo_schema.states import JobState, Priority
from corvo_server.store.records import JobHead, NewJob
from corvo_server.store.rows.codes import BACKOFFS, STATES

HEAD_WIDTH = 29
"""Number of columns of the view `heads`."""
PLAIN_WIDTH = 10
"""Number of values in a row for `plain_head`."""
_PRIORITIES = tuple(Priority)


def to_head(row: tuple[Any, ...]) -> JobHead:
    """Return the head in a row of the view `heads`."""
    values = list(row)
    values[3] = STATES[row[3]]
    values[4] = _PRIORITIES[row[4]]
    values[7] = BACKOFFS[row[7]]
    values[13] = row[13] == 1
    values[25] = row[25] == 1
    return JobHead(*values)


def new_job_head(seq: int, job: NewJob) -> JobHead:
    """Return the head of a new job that is stored with `seq`."""
    return JobHead(
        seq=seq,
        id=job.id,
        queue=job.queue,
        state=job.state,
        priority=job.priority,
        attempt=0,
        max_retries=job.max_retries,
        backoff=job.backoff,
        base_delay=job.base_delay,
        max_delay=job.max_delay,
        unique_key=job.unique_key,
        unique_period=job.unique_period,
        batch_id=job.batch_id,
        is_batch_counted=False,
        worker_id=None,
        hostname=None,
        lease_token=None,
        lease_ms=0,
        lease_expires_at=None,
        scheduled_at=job.scheduled_at,
        expire_at=job.expire_at,
        created_at=job.created_at,
        started_at=None,
        finished_at=None,
        failed_at=None,
        is_cancel_requested=False,
        concurrency_key=job.concurrency_key,
        charged_to=job.charged_to,
        charged_bytes=job.charged_bytes,
    )


_PLAIN = new_job_head(0, NewJob("", "", JobState.PENDING, "", 0))


def plain_head(row: tuple[Any, ...]) -> JobHead:
    """Return the head of a pending job without options that was never started.

    `row` has its seq, id, queue, priority code, max_retries, backoff code, base_delay, max_delay,
    unique_period and created_at. All other fields have their defaults.
    """
    seq, job_id, queue, priority, max_retries, backoff, base, longest, period, created_at = row
    return replace(
        _PLAIN,
        seq=seq,
        id=job_id,
        queue=queue,
        priority=_PRIORITIES[priority],
        max_retries=max_retries,
        backoff=BACKOFFS[backoff],
        base_delay=base,
        max_delay=longest,
        unique_period=period,
        created_at=created_at,
    )
