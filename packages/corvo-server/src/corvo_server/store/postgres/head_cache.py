"""Cache the heads of active jobs that this server wrote, so that an ack need not read them.

Another server may have changed a job since. So each head is cached with the id of the transaction
that wrote it. PostgreSQL stores that id with each version of a row (`xmin`); a cached head is used
only if the locked row still has it. A job has at most one cached head, from the last transaction
of this session that wrote it.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from corvo_server.store.records import JobHead

_MAX_HEADS = 10_000
"""Heads that are cached at most."""
_SEQ = attrgetter("head.seq")


class CachedHead(NamedTuple):
    """A head and the id of the transaction that wrote it."""

    head: JobHead
    xid: int


class HeadCache:
    """The cached heads of one database session.

    It is cleared with the session, because another server of the database may reuse its ids.
    """

    def __init__(self) -> None:
        self._cached_heads: dict[str, CachedHead] = {}
        """Heads by job id; the job written last comes last."""

    def find(self, job_ids: Collection[str]) -> list[CachedHead] | None:
        """Return the heads of all these jobs, sorted by seq; None if any is not cached."""
        cached = self._cached_heads
        try:
            return sorted([cached[job_id] for job_id in job_ids], key=_SEQ)
        except KeyError:
            return None

    def keep(self, written: Mapping[str, JobHead | None], xid: int) -> None:
        """Cache the heads that transaction `xid` wrote; drop the jobs whose head is None."""
        cached = self._cached_heads
        for job_id, head in written.items():
            cached.pop(job_id, None)
            if head is not None:
                cached[job_id] = CachedHead(head, xid)
        self.forget(list(islice(cached, max(0, len(cached) - _MAX_HEADS))))

    def forget(self, job_ids: Iterable[str]) -> None:
        """Drop the heads of these jobs."""
        for job_id in job_ids:
            self._cached_heads.pop(job_id, None)

    def clear(self) -> None:
        """Drop all heads."""
        self._cached_heads.clear()
