"""The event log: every server appends to it, and every reader sees the same order.

Ids come from a sequence, so a transaction can commit an event after another one has committed
events with higher ids. A reader that has read the higher ids would miss it. Therefore a reader
never reads above a bound, below which no event can appear any more:

- A writer *announces* itself before it allocates its first id. Until its commit it holds a shared
  advisory lock, whose key contains L, the last id that any transaction had allocated.
- A reader reads H, the last id allocated so far. *Then* it reads the lowest L that an open
  transaction has announced. The bound is the lower of the two. *Then* it reads up to the bound.

Claim: an event with an id up to the bound is visible to that read, or will never exist. Let T be
the transaction that allocated the id. At the moment when the reader read the announcements,
1. T had ended. A transaction releases its locks after its commit is visible. The snapshot of the
   read is later, so the read sees the event if T committed.
2. T was open and had announced L. It allocates ids after L was read, so they are above L. The bound
   is at most L, so the id is above the bound, which contradicts the assumption.
3. T had not announced itself. It allocates ids later, and so after H was read; they are above H.
   The bound is at most H, which contradicts the assumption as well.

The keys are a range of 64-bit numbers derived from the name of the schema, so that two
installations in one database have different ranges. A transaction that hangs delays readers for at
most its `idle_in_transaction_session_timeout`.
"""

from collections.abc import Collection
from hashlib import blake2b
from operator import attrgetter

from corvo_schema.states import EventType
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, as_array, as_json, event_row, to_event
from corvo_server.store.postgres.runs import runs_of
from corvo_server.store.records import Event, shorten
from corvo_server.store.rows.codes import EVENT_WORDS

_ID_BITS = 44
"""The lower bits of a key, which contain an event id; the upper bits identify the schema."""

_SHARED_FIELDS = attrgetter("type", "queue", "data")
"""The fields in which events must agree to be inserted by one statement."""


def key_base(schema: str) -> int:
    """Return the lowest advisory lock key of a schema; announcements add an event id to it."""
    number = int.from_bytes(blake2b(schema.encode(), digest_size=4).digest(), "big")
    return (number & (1 << (63 - _ID_BITS)) - 1) << _ID_BITS


class Events:
    """Implements `store.commit.tables.EventTable`."""

    def __init__(self, pipeline: Pipeline, base: int) -> None:
        self._pipeline = pipeline
        self._base = base

    def of_jobs(self, seqs: Collection[int], types: Collection[EventType]) -> list[Event]:
        values = as_array(seqs), as_json(EVENT_WORDS[kind] for kind in types)
        return [to_event(row) for row in self._pipeline.ask(SQL.events_of_jobs, values)]

    def next_id(self) -> int:
        return 1  # the sequence allocates the id only when the event is inserted

    def append(self, events: list[Event], seqs: list[int], *, are_jobs_there: bool) -> None:
        self._pipeline.send(SQL.announce_events, (self._base,))
        for shared, run in runs_of(events, _SHARED_FIELDS):
            group, job_seqs = events[run], seqs[run]
            if shared is None:
                rows = [event_row(event, seq) for event, seq in zip(group, job_seqs, strict=True)]
                self._pipeline.write(SQL.insert_events, (as_json(rows),))
                continue
            kind, queue, data = shared
            at = as_array(event.at for event in group)
            ids = as_json(event.job_id for event in group)
            values = (EVENT_WORDS[kind], queue, data, as_array(job_seqs), at, ids)
            self._pipeline.write(SQL.insert_similar_events, values)

    def prune(self, before: int, limit: int) -> int:
        return self._pipeline.count(SQL.prune_events, (limit, before))


def read_events(
    pipeline: Pipeline, base: int, after: int, limit: int, max_data: int | None
) -> list[Event]:
    """Return up to `limit` events with an id above `after`, oldest first.

    Stop early, but after one event at least, if their data is longer than `max_data`.
    The transaction must be READ COMMITTED: the proof above needs a snapshot per statement.
    """
    bound = last_event_id(pipeline, base)
    if bound <= after:
        return []
    rows = pipeline.ask(SQL.events_between, (after, bound, limit, max_data))
    return shorten(map(to_event, rows), max_data)


def last_event_id(pipeline: Pipeline, base: int) -> int:
    """Return the bound: the id up to which the log is complete."""
    allocated = pipeline.request(SQL.last_allocated_event_id)
    announced = pipeline.request(
        SQL.first_announced_event_id, {"base": base, "span": (1 << _ID_BITS) - 1}
    )
    ((last,),), ((first,),) = allocated(), announced()
    return int(last if first is None else min(last, first))
