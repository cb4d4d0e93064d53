"""The event log: appended to by every server, read in one order.

Ids come from a sequence, so a transaction may commit an event after another one has committed
events with higher ids. A reader that had gone on beyond it would miss it. Hence a reader never goes
beyond a bound below which everything that will ever be there is there:

- A writer *announces* itself before it draws its first id: it takes, until its commit, a shared
  advisory lock whose key says L, the last id that had been drawn by anyone.
- A reader looks up H, the last id drawn so far; *then* the least L announced by a transaction that
  has not ended; the bound is the lesser of the two; *then* it reads up to the bound.

Claim: an event with an id up to the bound is visible to that read, or never will be. Let T be the
transaction that drew the id. When the reader looked at the announcements,
1. T had ended: its locks are released after its commit is visible, so the read, whose snapshot is
   younger, sees the event if T committed.
2. T had announced L and not ended: its ids are drawn later than L was read, hence above L, and the
   bound is at most L. So the id is above the bound, against the assumption.
3. T had not announced itself: it draws ids later than that, and so later than H was read, hence
   above H, and the bound is at most H. Again against the assumption.

The keys are a range of 64-bit numbers that the schema's name chooses, so that another Corvo in the
same database has another range. A transaction that hangs holds readers up no longer than its
`idle_in_transaction_session_timeout`.
"""

from hashlib import blake2b
from operator import attrgetter

from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, as_array, as_json, event_row, to_event
from corvo_server.store.postgres.runs import runs_of
from corvo_server.store.records import Event
from corvo_server.store.rows.codes import EVENT_WORDS

_ID_BITS = 44
"""Of a key, for the id; what is above is the schema's."""

_NEWS = attrgetter("type", "queue", "data")


def key_base(schema: str) -> int:
    """Where the keys of a schema's announcements begin."""
    number = int.from_bytes(blake2b(schema.encode(), digest_size=4).digest(), "big")
    return (number & (1 << (63 - _ID_BITS)) - 1) << _ID_BITS


class Events:
    """Implements `store.commit.tables.EventTable`."""

    def __init__(self, pipeline: Pipeline, base: int) -> None:
        self._pipeline = pipeline
        self._base = base

    def next_id(self) -> int:
        return 1  # nobody knows before

    def append(self, events: list[Event], seqs: list[int], *, are_jobs_there: bool) -> None:
        self._pipeline.send(SQL.announce_events, (self._base,))
        for notification, run in runs_of(events, _NEWS):
            alike, jobs = events[run], seqs[run]
            if notification is None:
                rows = [event_row(event, seq) for event, seq in zip(alike, jobs, strict=True)]
                self._pipeline.write(SQL.insert_events, (as_json(rows),))
                continue
            kind, queue, data = notification
            at = as_array(event.at for event in alike)
            ids = as_json(event.job_id for event in alike)
            values = (EVENT_WORDS[kind], queue, data, as_array(jobs), at, ids)
            self._pipeline.write(SQL.insert_similar_events, values)

    def prune(self, before: int, limit: int) -> int:
        return self._pipeline.count(SQL.prune_events, (limit, before))


def read_events(pipeline: Pipeline, base: int, after: int, limit: int) -> list[Event]:
    """The next events after an id, oldest first. The transaction must not be one snapshot."""
    bound = last_event_id(pipeline, base)
    if bound <= after:
        return []
    rows = pipeline.ask(SQL.events_between, (after, bound, limit))
    return [to_event(row) for row in rows]


def last_event_id(pipeline: Pipeline, base: int) -> int:
    """The last id up to which the log is complete."""
    given = pipeline.request(SQL.last_given_id)
    announced = pipeline.request(
        SQL.first_announced_id, {"base": base, "span": (1 << _ID_BITS) - 1}
    )
    ((last,),), ((first,),) = given(), announced()
    return int(last if first is None else min(last, first))
