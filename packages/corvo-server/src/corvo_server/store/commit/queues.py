"""The verbs of queues: change settings, and delete queues."""

from collections.abc import Sequence
from sys import getsizeof

from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.queues import QueueSetting, SetDefaults


def configure(tx: Transaction, requests: Sequence[Sequence[QueueSetting]]) -> list[None]:
    """Change settings of queues. Create missing queues. Waiting fetches look at them again."""
    for settings in requests:
        for setting in settings:
            tx.tables.queues.configure(setting)
            if isinstance(setting, SetDefaults):
                tx.tables.queues.ensure(setting.queue, setting.now)
            else:
                tx.open_queue(setting.queue)
    return [None] * len(requests)


def memory(settings: Sequence[QueueSetting]) -> int:
    """Return the bytes of memory that the texts of the settings take."""
    return sum(
        [
            getsizeof(setting.options) + getsizeof(setting.payload_schema)
            for setting in settings
            if isinstance(setting, SetDefaults)
        ]
    )


def touch(tx: Transaction, requests: Sequence[None]) -> list[None]:
    """Write to the database without changing what it stores."""
    tx.tables.queues.touch()
    return [None] * len(requests)
