"""What one server tells the others after a commit, as the payload of a notification."""

from collections.abc import Mapping

import orjson
from msgspec import DecodeError, Struct, ValidationError, json, to_builtins

from corvo_server.store.records import Commit, NextTimes

_LONGEST = 7_900
"""Bytes. PostgreSQL takes just under 8000."""


class Notification(Struct, frozen=True, omit_defaults=True, rename={"writer": "w"}):
    """Of one commit, what others may wait for."""

    writer: str
    ready: dict[str, int] = {}
    opened: list[str] = []
    due: int | None = None
    lease_end: int | None = None
    expiry: int | None = None
    occurrence: int | None = None
    has_events: bool = False
    has_bulk: bool = False
    is_cut: bool = False
    """It was too much to tell: look for yourself."""

    @classmethod
    def of(cls, writer: str, commit: Commit, left: Mapping[str, int]) -> "Notification | None":
        """The notification of a commit; None if there is none. `left` was passed over by the others."""
        ready = {queue: jobs for queue, jobs in commit.ready.items() if jobs > 0}
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
        """What a notification says; None if it is not understood, as from a newer server."""
        try:
            return json.decode(payload, type=cls)
        except (DecodeError, ValidationError):
            return None

    def write(self) -> str:
        """The payload, cut short where it would be too long."""
        text = orjson.dumps(to_builtins(self))
        if len(text) > _LONGEST:
            text = orjson.dumps(to_builtins(Notification(self.writer, is_cut=True)))
        return text.decode()

    def as_commit(self) -> Commit:
        """The same as listeners to commits take it."""
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
