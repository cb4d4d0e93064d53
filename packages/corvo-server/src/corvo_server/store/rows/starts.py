"""The values that all jobs started by one fetch share."""

from typing import Any

from corvo_schema.states import EventType
from corvo_server.store.records import Change

_STARTED = EventType.STARTED


def start_values(change: Change) -> tuple[Any, ...] | None:
    """Return the parameters of the statement `start_jobs` for `change`, except the seqs.

    Return None if the change is no start, or if its lease token does not end with the job's seq.
    The jobs of a fetch share the part of the token before the seq.
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
