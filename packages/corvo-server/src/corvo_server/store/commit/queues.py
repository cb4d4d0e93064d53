"""The verbs of queues: change settings, and delete queues."""

from collections.abc import Sequence

from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.queues import QueueSetting


def configure(tx: Transaction, requests: Sequence[Sequence[QueueSetting]]) -> list[None]:
    """Change settings of queues. Create missing queues. Waiting fetches look at them again."""
    for settings in requests:
        for setting in settings:
            tx.tables.queues.configure(setting)
            tx.open_queue(setting.queue)
    return [None] * len(requests)


def touch(tx: Transaction, requests: Sequence[None]) -> list[None]:
    """Write to the database without changing what it stores."""
    tx.tables.queues.touch()
    return [None] * len(requests)
