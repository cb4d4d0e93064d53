"""Changing the settings of queues, and dropping queues."""

from collections.abc import Sequence

from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.queues import (
    QueueSetting,
)


def configure(tx: Transaction, settings: Sequence[QueueSetting]) -> list[None]:
    """Change settings of queues, creating new ones; waiting fetches look at what was opened."""
    for setting in settings:
        tx.tables.queues.configure(setting)
        tx.open_queue(setting.queue)
    return [None] * len(settings)


def drop(tx: Transaction, names: Sequence[str]) -> list[bool]:
    """Forget queues that have no jobs."""
    return [tx.tables.queues.drop(name) for name in names]
