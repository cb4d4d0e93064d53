"""Enqueue jobs in a transaction of the application's database.

A job that is enqueued outside of the transaction may run before the commit, or after a rollback. An
outbox writes the job to a table in the transaction instead. A relay sends the committed rows to the
server. Each row has its job id, so a row that is sent twice creates one job.

`corvo_client.outbox.sqlalchemy` supports SQLAlchemy 2, sync and async. `corvo_client.outbox.django`
supports Django. Both use the same relay.
"""

from corvo_client.outbox._relays import AsyncRelay, Relay

__all__ = ["AsyncRelay", "Relay"]
