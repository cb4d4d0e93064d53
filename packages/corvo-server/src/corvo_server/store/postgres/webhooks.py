"""The table of webhooks and sources."""

from collections.abc import Mapping, Sequence

from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.rows.webhooks import KINDS, to_document, to_hooks, to_webhooks
from corvo_server.store.webhooks import Hook, R, SourceRecord, StoredWebhook, WebhookRecord


class Webhooks:
    """Implements `store.commit.tables.WebhookTable`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def lock(self, kind: type[R]) -> Mapping[str, R]:
        return to_hooks(self._pipeline.ask(SQL.lock_webhooks, (KINDS[kind],)), kind)

    def lock_positions(self) -> Mapping[str, int]:
        rows = self._pipeline.ask(SQL.lock_webhooks, (KINDS[WebhookRecord],))
        return {name: position for name, position, _ in rows}

    def save(self, record: Hook, position: int | None) -> None:
        values = (KINDS[type(record)], record.name, position, to_document(record))
        self._pipeline.write(SQL.save_webhook, values)

    def move(self, names: Sequence[str], position: int) -> None:
        for name in names:
            self._pipeline.write(SQL.move_webhook, (position, KINDS[WebhookRecord], name))

    def remove(self, kind: type[Hook], name: str) -> None:
        self._pipeline.write(SQL.remove_webhook, (KINDS[kind], name))


def list_webhooks(pipeline: Pipeline) -> list[StoredWebhook]:
    """Return all webhooks with their positions, by name."""
    return to_webhooks(pipeline.ask(SQL.list_webhooks, (KINDS[WebhookRecord],)))


def list_sources(pipeline: Pipeline) -> list[SourceRecord]:
    """Return all sources by name."""
    rows = pipeline.ask(SQL.list_webhooks, (KINDS[SourceRecord],))
    return [*to_hooks(rows, SourceRecord).values()]
