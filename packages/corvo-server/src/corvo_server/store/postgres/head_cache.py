"""Heads of active jobs as this server wrote them last: an ack need not read what the fetch wrote.

Another server may have written since. So each is cached with the transaction that wrote it, and
counts only if the row, once it is locked, still is of such a transaction: PostgreSQL keeps with
each version of a row who wrote it (`xmin`). Whatever a transaction of this session wrote is cached as
the last of them left it, or not at all.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from corvo_server.store.records import JobHead

_MOST = 10_000
_SEQ = attrgetter("head.seq")


class CachedHead(NamedTuple):
    """A head, and the id of the transaction that wrote it."""

    head: JobHead
    xid: int


class HeadCache:
    """Belongs to one session of the database. The ids of transactions may come again in another."""

    def __init__(self) -> None:
        self._cached_heads: dict[str, CachedHead] = {}
        """By id, what was written last at the end."""

    def find(self, job_ids: Collection[str]) -> list[CachedHead] | None:
        """What is cached of these jobs, by seq; None unless it is there for every one."""
        cached = self._cached_heads
        try:
            return sorted([cached[job_id] for job_id in job_ids], key=_SEQ)
        except KeyError:
            return None

    def keep(self, written: Mapping[str, JobHead | None], xid: int) -> None:
        """Hold what a transaction wrote; None: nothing more of that job."""
        cached = self._cached_heads
        for job_id, head in written.items():
            cached.pop(job_id, None)
            if head is not None:
                cached[job_id] = CachedHead(head, xid)
        self.forget(list(islice(cached, max(0, len(cached) - _MOST))))

    def forget(self, job_ids: Iterable[str]) -> None:
        """Hold these jobs no longer."""
        for job_id in job_ids:
            self._cached_heads.pop(job_id, None)

    def clear(self) -> None:
        """Hold nothing."""
        self._cached_heads.clear()
