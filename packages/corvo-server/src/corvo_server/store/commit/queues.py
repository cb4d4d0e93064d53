"""The verbs of queues: change settings, and delete queues."""

from collections.abc import Sequence
from sys import getsizeof

from corvo_server.store.commit.audit import entry_of_queue
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.queues import ConfigureQueue, SetDefaults


def configure(tx: Transaction, requests: Sequence[ConfigureQueue]) -> list[None]:
    """Change settings of queues. Create missing queues. Waiting fetches look at them again."""
    for request in requests:
        if request.audit is None:
            _configure(tx, request)
            continue
        queues, queue = tx.tables.queues, request.settings[0].queue
        queues.ensure(queue, request.settings[0].now)
        before = queues.settings(queue)
        _configure(tx, request)
        entry = entry_of_queue(request.audit, request.settings, before, queues.settings(queue))
        if entry is not None:
            tx.audit(entry)
    return [None] * len(requests)


def _configure(tx: Transaction, request: ConfigureQueue) -> None:
    for setting in request.settings:
        tx.tables.queues.configure(setting)
        if isinstance(setting, SetDefaults):
            tx.tables.queues.ensure(setting.queue, setting.now)
        else:
            tx.open_queue(setting.queue)


def memory(request: ConfigureQueue) -> int:
    """Return the bytes of memory that the texts of the settings take."""
    return sum(
        [
            getsizeof(setting.options) + getsizeof(setting.payload_schema)
            for setting in request.settings
            if isinstance(setting, SetDefaults)
        ]
    )


def touch(tx: Transaction, requests: Sequence[None]) -> list[None]:
    """Write to the database without changing what it stores."""
    tx.tables.queues.touch()
    return [None] * len(requests)
