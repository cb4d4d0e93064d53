"""Convert between rows of webhooks and records, the same on every engine."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import json

from corvo_server.store.webhooks import Hook, R, SourceRecord, StoredWebhook, WebhookRecord

KINDS: dict[type[Hook], str] = {WebhookRecord: "webhook", SourceRecord: "source"}
"""The column `kind` of the records."""


def to_hooks(rows: Iterable[Sequence[Any]], kind: type[R]) -> dict[str, R]:
    """Return records by name, from the columns name, position and document."""
    return {name: json.decode(document, type=kind) for name, _, document in rows}


def to_webhooks(rows: Iterable[Sequence[Any]]) -> list[StoredWebhook]:
    """Return webhooks with their positions, from the columns name, position and document."""
    return [
        StoredWebhook(json.decode(document, type=WebhookRecord), position)
        for _, position, document in rows
    ]


def to_document(record: Hook) -> str:
    """Return a record as JSON text."""
    return json.encode(record).decode()
