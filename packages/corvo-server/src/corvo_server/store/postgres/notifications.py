"""The payload of the notification that a server sends to the others after a commit."""

from collections.abc import Mapping

import orjson
from msgspec import DecodeError, Struct, ValidationError, json, to_builtins

from corvo_server.store.records import Commit, NextTimes

_MAX_BYTES = 7_900
"""Longest payload in bytes; PostgreSQL accepts less than 8000."""


class Notification(Struct, frozen=True, omit_defaults=True, rename={"writer": "w"}):
    """The changes of one commit for which other servers may be waiting.

    Times are milliseconds since the epoch. The earliest time of each kind is given.
    """

    writer: str
    """Id of the writer that made the commit."""
    ready: dict[str, int] = {}
    """Jobs that became pending, by queue."""
    opened: list[str] = []
    """Queues that may hand out jobs again, because they were resumed or a limit allows it."""
    due: int | None = None
    lease_end: int | None = None
    expiry: int | None = None
    occurrence: int | None = None
    has_events: bool = False
    has_bulk: bool = False
    is_cut: bool = False
    """Whether the details were left out, because they were too long; the receiver polls then."""

    @classmethod
    def of(cls, writer: str, commit: Commit, left: Mapping[str, int]) -> "Notification | None":
        """Return the notification for a commit; None if the commit concerns nobody else.

        `left` is, by queue, the number of jobs that were locked but not taken. Other servers
        skipped them while they were locked.
        """
        ready = dict(commit.ready)
        for queue, jobs in left.items():
            ready[queue] = ready.get(queue, 0) + jobs
        times = commit.next_times
        notification = cls(
            writer,
            ready,
            sorted(commit.opened),
            times.due,
            times.lease_end,
            times.expiry,
            times.occurrence,
            has_events=bool(commit.events),
            has_bulk=commit.has_bulk,
        )
        return None if notification == cls(writer) else notification

    @classmethod
    def read(cls, payload: str) -> "Notification | None":
        """Parse a payload; return None if that fails, as with the payload of a newer server."""
        try:
            return json.decode(payload, type=cls)
        except (DecodeError, ValidationError):
            return None

    def write(self) -> str:
        """Return the payload; if it would be too long, one without the details."""
        text = orjson.dumps(to_builtins(self))
        if len(text) > _MAX_BYTES:
            text = orjson.dumps(to_builtins(Notification(self.writer, is_cut=True)))
        return text.decode()

    def as_commit(self) -> Commit:
        """Convert it to a `Commit` for the listeners of this server."""
        return Commit(
            events=[],
            ready=self.ready,
            opened=set(self.opened),
            opens_at={},
            next_times=NextTimes(self.due, self.lease_end, self.expiry, self.occurrence),
            is_from_other_node=True,
            has_events=self.has_events,
            has_bulk=self.has_bulk,
        )
