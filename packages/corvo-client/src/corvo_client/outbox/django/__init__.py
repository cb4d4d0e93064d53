"""The outbox as a Django app. Needs `pip install "corvo-client[django]"`.

Add `"corvo_client.outbox.django"` to INSTALLED_APPS and run `manage.py migrate`. What is enqueued
inside `transaction.atomic()` becomes a job if and when that commits; `manage.py corvo_relay` sends
it. `transaction.on_commit` alone is not enough: a process that dies between the commit and the
callback has lost the job.
"""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from django.apps import apps as installed  # a submodule of ours has that name
from django.db import connections, router, transaction

from corvo_client import Client, EnqueueOptions, EnqueueRequest
from corvo_client._calls.jobs import enqueue_request
from corvo_client._options import NO_PAYLOAD
from corvo_client._outbox import Row, Sent, identified
from corvo_client.outbox._relays import Relay

__all__ = ["add", "enqueue", "relay"]


def enqueue(
    queue: str,
    payload: Any = NO_PAYLOAD,
    *,
    using: str | None = None,
    **options: Unpack[EnqueueOptions],
) -> str:
    """Write a job into the current transaction of a database; return the id that it will have.

    `payload` and `options` are those of `Client.enqueue`; a `delay` counts from now on. `using` is
    the database, the one that is written to by default when left out. Raises `ValidationFailed`.
    """
    return add(enqueue_request(queue, payload, options), using=using)


def add(request: EnqueueRequest, *, using: str | None = None) -> str:
    """Do the same with a request, e.g. that of a task: `add(send.request(7))`."""
    job_id, body = identified(request)
    _model().objects.using(_database(using)).create(job_id=job_id, body=body)
    return job_id


def relay(
    client: Client, *, using: str | None = None, batch_size: int = 500, poll_interval: float = 0.5
) -> Relay:
    """Return what sends the committed rows of a database; `manage.py corvo_relay` runs one.

    Up to `batch_size` rows in a request; it looks for new ones every `poll_interval` seconds.
    """
    rows = _Rows(_database(using))
    return Relay(rows, client, batch_size=batch_size, poll_interval=poll_interval)


class _Rows:
    """The rows of one database."""

    def __init__(self, database: str) -> None:
        self._database = database

    def deliver(self, limit: int, send: Callable[[Sequence[Row]], Sent]) -> int:
        # SQLite has one lock for all, and holding it during a request would hold up the site.
        if not connections[self._database].features.has_select_for_update_skip_locked:
            rows = self._oldest(limit)
            if rows:
                sent = send(rows)
                with transaction.atomic(using=self._database):
                    self._settle(sent)
            return len(rows)
        with transaction.atomic(using=self._database):
            rows = self._oldest(limit, is_locking=True)
            if rows:
                self._settle(send(rows))
        return len(rows)

    def _oldest(self, limit: int, *, is_locking: bool = False) -> list[Row]:
        wanted = _model().objects.using(self._database).filter(error=None).order_by("seq")
        if is_locking:
            wanted = wanted.select_for_update(skip_locked=True)
        return [Row(row.seq, row.job_id, row.body) for row in wanted[:limit]]

    def _settle(self, sent: Sent) -> None:
        rows = _model().objects.using(self._database)
        for seq, error in sent.refused.items():
            rows.filter(seq=seq).update(error=error)
        if sent.taken:
            rows.filter(seq__in=sent.taken).delete()


def _database(using: str | None) -> str:
    return using or str(router.db_for_write(_model()))


def _model() -> Any:
    return installed.get_model("corvo_outbox", "OutboxRow")
