"""Bulk updates: write the same change of many jobs with one short statement.

They cover the two changes that every job goes through: start and completion. Writing all columns of
each head instead takes twice the time.
"""

from collections.abc import Sequence
from typing import NamedTuple

from corvo_schema.states import EventType
from corvo_server.store.postgres.rows import SQL, Row, as_array, as_json
from corvo_server.store.records import Change
from corvo_server.store.rows.starts import start_values

_COMPLETED = EventType.COMPLETED


class BulkUpdate(NamedTuple):
    """An UPDATE statement and its values that are the same for all jobs."""

    statement: str
    common: Row
    has_results: bool = False
    """Whether the statement also takes the result of each job."""

    def values_for(self, changes: Sequence[Change]) -> tuple[str, Row]:
        """Return the statement and its values for `changes`, which must all have this update."""
        values = (*self.common, as_array(change.job.seq for change in changes))
        if self.has_results:
            values += (as_json(change.result for change in changes),)
        return self.statement, values


def bulk_update_of(change: Change) -> BulkUpdate | None:
    """Return the bulk update that can write `change`; None if it must be written on its own."""
    if change.event is _COMPLETED:
        job = change.job
        common = (job.is_batch_counted, job.finished_at)
        if change.result is None:
            return BulkUpdate(SQL.complete_jobs, common)
        return BulkUpdate(SQL.complete_jobs_with_results, common, has_results=True)
    values = start_values(change)
    return None if values is None else BulkUpdate(SQL.start_jobs, values)
