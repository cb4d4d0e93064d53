"""Apply a rule to many jobs, one chunk per commit, so that workers are served in between."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from corvo_server.store.protocol import OutcomeUnknown, Store, StoreError
from corvo_server.store.records import Change, Decide, Outcome, Refusal, Removal, Transition
from corvo_server.store.search.filters import JobFilter

CHUNK = 250
"""Number of jobs per commit."""


class Tally:
    """Number of jobs that a rule changed, and number of jobs that it refused."""

    def __init__(self) -> None:
        self.affected = 0
        self.errors = 0

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Add the outcomes of a chunk."""
        self.affected += sum(isinstance(outcome, Change | Removal) for outcome in outcomes)
        self.errors += sum(isinstance(outcome, Refusal) for outcome in outcomes)


async def apply_to(store: Store, job_ids: Sequence[str], decide: Decide) -> Tally:
    """Apply `decide` to the named jobs, in the given order.

    Raises `OutcomeUnknown` if the store fails after it has changed some of the jobs.
    """
    tally = Tally()
    for at in range(0, len(job_ids), CHUNK):
        chunk = [Transition(job_id, decide) for job_id in job_ids[at : at + CHUNK]]
        with _not_whole(tally):
            tally.count(await store.transition(chunk))
    return tally


async def sweep(store: Store, job_filter: JobFilter, decide: Decide) -> Tally:
    """Apply `decide` to all matching jobs that were enqueued before the call, oldest first.

    Raises `OutcomeUnknown` if the store fails after it has changed some of the jobs.
    """
    tally = Tally()
    last_seq = await store.last_seq()
    after = 0
    while after < last_seq:
        with _not_whole(tally):
            found = await store.matching_ids(job_filter, after, CHUNK)
            if not found:
                break
            chunk = [Transition(job_id, decide) for seq, job_id in found if seq <= last_seq]
            tally.count(await store.transition(chunk))
        after = found[-1][0]
    return tally


@contextmanager
def _not_whole(tally: Tally) -> Iterator[None]:
    """Raise `OutcomeUnknown` for a failure of the store, unless no job has changed yet."""
    try:
        yield
    except StoreError as error:
        if not tally.affected:
            raise
        raise OutcomeUnknown(f"it stopped after {tally.affected} jobs: {error}") from error
