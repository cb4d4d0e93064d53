"""The table of webhooks and sources."""

import sqlite3
from collections.abc import Mapping, Sequence

from corvo_server.store.rows.webhooks import KINDS, to_document, to_hooks, to_webhooks
from corvo_server.store.sqlite.rows import SQL
from corvo_server.store.webhooks import Hook, R, SourceRecord, StoredWebhook, WebhookRecord


class Webhooks:
    """Implements `store.commit.tables.WebhookTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def lock(self, kind: type[R]) -> Mapping[str, R]:
        return to_hooks(self._connection.execute(SQL.list_webhooks, (KINDS[kind],)), kind)

    def lock_positions(self) -> Mapping[str, int]:
        rows = self._connection.execute(SQL.list_webhooks, (KINDS[WebhookRecord],))
        return {name: position for name, position, _ in rows}

    def save(self, record: Hook, position: int | None) -> None:
        values = (KINDS[type(record)], record.name, position, to_document(record))
        self._connection.execute(SQL.save_webhook, values)

    def move(self, names: Sequence[str], position: int) -> None:
        values = [(position, KINDS[WebhookRecord], name) for name in names]
        self._connection.executemany(SQL.move_webhook, values)

    def remove(self, kind: type[Hook], name: str) -> None:
        self._connection.execute(SQL.remove_webhook, (KINDS[kind], name))


def list_webhooks(connection: sqlite3.Connection) -> list[StoredWebhook]:
    """Return all webhooks with their positions, by name."""
    return to_webhooks(connection.execute(SQL.list_webhooks, (KINDS[WebhookRecord],)))


def list_sources(connection: sqlite3.Connection) -> list[SourceRecord]:
    """Return all sources by name."""
    rows = connection.execute(SQL.list_webhooks, (KINDS[SourceRecord],))
    return [*to_hooks(rows, SourceRecord).values()]
