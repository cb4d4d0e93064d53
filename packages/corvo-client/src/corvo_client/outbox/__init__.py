"""Enqueue within the application's own database transaction.

A job that is enqueued beside a transaction may be seen by a worker before the commit, or although
there is none. An outbox has the job written into a table of the application's database, in its
transaction; a relay sends what was committed. The job's id is made when it is written, so that a
row that is sent twice is one job.

`corvo_client.outbox.sqlalchemy` is for SQLAlchemy 2, sync and async; `corvo_client.outbox.django`
for Django. The relay is the same for both.
"""

from corvo_client.outbox._relays import AsyncRelay, Relay

__all__ = ["AsyncRelay", "Relay"]
