"""The verbs of API keys: edit keys as a rule decides, and store when keys were used."""

from collections.abc import Sequence

from corvo_server.store.commit.audit import entries_of_keys
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.keys import KeyChange, KeyEdit, KeyUse
from corvo_server.store.records import Refusal


def edit(tx: Transaction, edits: Sequence[KeyEdit]) -> list[KeyChange]:
    """Change the keys as each rule decides. A later edit sees the effects of earlier ones."""
    return [_edit(tx, request) for request in edits]


def _edit(tx: Transaction, request: KeyEdit) -> KeyChange:
    keys = tx.tables.keys
    ring = keys.lock(request.secret)
    change = request.decide(ring)
    if request.audit is not None:
        for entry in entries_of_keys(request.audit, ring, change):
            tx.audit(entry)
    if not isinstance(change, Refusal):
        keys.save(change)
    return change


def note_uses(tx: Transaction, requests: Sequence[Sequence[KeyUse]]) -> list[None]:
    """Store when keys were used, unless a later use is stored already."""
    for uses in requests:
        tx.tables.keys.note_uses(uses)
    return [None] * len(requests)
