"""What the starts of all jobs of one fetch have in common."""

from typing import Any

from corvo_schema.states import EventType
from corvo_server.store.records import Change

_STARTED = EventType.STARTED


def start_values(change: Change) -> tuple[Any, ...] | None:
    """The parameters of `start_jobs` but for the seqs; None for what is no such start.

    A token ends with the seq of its job: the part before it is the same for all.
    """
    if change.event is not _STARTED:
        return None
    job = change.job
    token, seq = job.lease_token or "", str(job.seq)
    if not token.endswith(seq):
        return None
    return (
        job.attempt,
        job.worker_id,
        job.hostname,
        token[: -len(seq)],
        job.lease_ms,
        job.lease_expires_at,
        job.started_at,
    )
