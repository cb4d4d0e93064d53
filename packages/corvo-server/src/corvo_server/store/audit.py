"""Records of the audit log that the engine and a store exchange. Times are in ms since the epoch.

The engine says who calls what (`Audit`). The commit of the call adds what it changed, and stores
both as an `AuditEntry` in the same transaction.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from corvo_schema.audit import DONE, AuditOperation
from corvo_schema.masks import mask_keys


class Audit(Struct, frozen=True):
    """Who calls which operation on what."""

    operation: AuditOperation
    at: int
    actor: str
    """Name of the API key, or of what acts without one."""
    key_id: str | None
    roles: tuple[str, ...]
    address: str | None
    request_id: str | None
    target: str | None = None
    queue: str | None = None
    asked: Mapping[str, Any] = {}
    """Values of the request that the stored change does not show."""

    def entry(
        self,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        outcome: str = DONE,
        *,
        target: str | None = None,
        queue: str | None = None,
    ) -> "AuditEntry":
        """Return the entry of the call, with the target and queue that the commit found."""
        return AuditEntry(
            at=self.at,
            operation=self.operation.value,
            actor=self.actor,
            key_id=self.key_id,
            roles=self.roles,
            address=self.address,
            request_id=self.request_id,
            target=target or self.target,
            queue=queue or self.queue,
            before=_text(before),
            after=_text(after),
            outcome=outcome,
        )


class AuditEntry(Struct, frozen=True):
    """One entry of the audit log. `before` and `after` are JSON objects as text."""

    at: int
    operation: str
    actor: str
    key_id: str | None
    roles: tuple[str, ...]
    address: str | None
    request_id: str | None
    target: str | None
    queue: str | None
    before: str | None
    after: str | None
    outcome: str
    id: int = 0
    """Set by the store. Later entries have higher ids."""


class AuditFilter(Struct, frozen=True):
    """Filter of entries. A field that is None matches every entry."""

    actor: str | None = None
    queue: str | None = None
    operation: str | None = None
    target: str | None = None
    since: int | None = None
    until: int | None = None
    """The entries before this time."""


def _text(values: Mapping[str, Any] | None) -> str | None:
    return None if values is None else mask_keys(orjson.dumps(values).decode())
