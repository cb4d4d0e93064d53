"""Outbox as a Django app. Needs `pip install "corvo-client[django]"`.

Add `"corvo_client.outbox.django"` to INSTALLED_APPS and run `manage.py migrate`. `enqueue` writes a
row in the current transaction; after the commit, `manage.py corvo_relay` sends the row.
`transaction.on_commit` alone is not enough: if the process dies between the commit and the
callback, the job is lost.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Unpack

from django.apps import apps as installed  # a submodule of ours has that name
from django.db import connections, router, transaction

from corvo_client import Client, Codec, EnqueueOptions, EnqueueRequest
from corvo_client._calls.jobs import enqueue_request
from corvo_client._options import NO_PAYLOAD
from corvo_client._outbox import Row, Sent, with_job_id
from corvo_client.outbox._relays import Relay

__all__ = ["add", "enqueue", "relay"]


def enqueue(
    queue: str,
    payload: Any = NO_PAYLOAD,
    *,
    using: str | None = None,
    codec: Codec | Literal[False] | None = None,
    **options: Unpack[EnqueueOptions],
) -> str:
    """Write a job in the current transaction of a database and return its job id.

    `payload` and `options` are those of `Client.enqueue`. A `delay` starts now, not when the row is
    sent. `using` is the alias of the database; the router chooses the default. `codec` is that of
    `Client`, and encodes the payload before the row is written. Raises `ValidationFailed`.
    """
    return add(enqueue_request(queue, payload, options), using=using, codec=codec)


def add(
    request: EnqueueRequest,
    *,
    using: str | None = None,
    codec: Codec | Literal[False] | None = None,
) -> str:
    """Write a request as a job, e.g. of a task: `add(send.request(7))`."""
    job_id, body = with_job_id(request, codec)
    _model().objects.using(_database(using)).create(job_id=job_id, body=body)
    return job_id


def relay(
    client: Client, *, using: str | None = None, batch_size: int = 500, poll_interval: float = 0.5
) -> Relay:
    """Return a relay for the rows of a database. `manage.py corvo_relay` runs such a relay.

    A request has up to `batch_size` rows. The relay polls every `poll_interval` seconds.
    """
    rows = _Rows(_database(using))
    return Relay(rows, client, batch_size=batch_size, poll_interval=poll_interval)


class _Rows:
    """`Store` of one database."""

    def __init__(self, database: str) -> None:
        self._database = database

    def deliver(self, limit: int, send: Callable[[Sequence[Row]], Sent]) -> int:
        # SQLite locks the whole database, and a lock during a request would block the application.
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
        oldest = _model().objects.using(self._database).filter(error=None).order_by("seq")
        if is_locking:
            oldest = oldest.select_for_update(skip_locked=True)
        return [Row(row.job_id, row.body) for row in oldest[:limit]]

    def _settle(self, sent: Sent) -> None:
        rows = _model().objects.using(self._database)
        for job_id, error in sent.refused.items():
            rows.filter(job_id=job_id).update(error=error)
        if sent.accepted:
            rows.filter(job_id__in=sent.accepted).delete()


def _database(using: str | None) -> str:
    return using or str(router.db_for_write(_model()))


def _model() -> Any:
    return installed.get_model("corvo_outbox", "OutboxRow")
