"""Changes that are the same for many jobs of a commit, and how they are written at once.

They are the two that every job goes through: its start, by all that one fetch was given, and its
completion. Written row by row, and every field of a head, they take twice the time.
"""

from collections.abc import Sequence
from typing import NamedTuple

from corvo_schema.states import EventType
from corvo_server.store.postgres.rows import SQL, Row, as_array, as_json
from corvo_server.store.records import Change
from corvo_server.store.rows.starts import start_values

_COMPLETED = EventType.COMPLETED


class BulkUpdate(NamedTuple):
    """A statement, and those of its values that are the same for all jobs."""

    statement: str
    common: Row
    has_results: bool = False

    def values_for(self, changes: Sequence[Change]) -> tuple[str, Row]:
        """The statement and all of its values."""
        values = (*self.common, as_array(change.job.seq for change in changes))
        if self.has_results:
            values += (as_json(change.result for change in changes),)
        return self.statement, values


def bulk_update_of(change: Change) -> BulkUpdate | None:
    """How `change` is written together with those that are like it; None if it stands alone."""
    if change.event is _COMPLETED:
        job = change.job
        common = (job.is_batch_counted, job.finished_at)
        if change.result is None:
            return BulkUpdate(SQL.complete_jobs, common)
        return BulkUpdate(SQL.complete_jobs_with_results, common, has_results=True)
    values = start_values(change)
    return None if values is None else BulkUpdate(SQL.start_jobs, values)
