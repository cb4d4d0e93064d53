"""The audit log: what a call records, and the search for entries."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from orjson import dumps, loads

from corvo_schema.audit import AuditOperation
from corvo_schema.auth import Role
from corvo_schema.errors import ErrorCode
from corvo_schema.masks import mask_keys
from corvo_server.auth.caller import Caller, caller, origin
from corvo_server.auth.scope import Scope
from corvo_server.engine.errors import CallError
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.audit import Audit, AuditEntry, AuditFilter
from corvo_server.store.protocol import Store

_OF_ADMINS = frozenset(
    {
        *(AuditOperation.CREATE_KEY, AuditOperation.ROTATE_KEY, AuditOperation.REVOKE_KEY),
        *(operation for operation in AuditOperation if "webhook" in operation.value),
    }
)
"""Operations whose entries only an admin sees."""
_CHUNK = 500
_MAX_CHUNKS = 10
"""Number of chunks that one page looks at. A page of a caller who sees few of them is shorter."""
_QUEUES = ("queue", "move_to_queue")
"""Members of `before` and `after` that name a queue."""


def audited(
    operation: AuditOperation,
    now: int,
    *,
    target: str | None = None,
    queue: str | None = None,
    asked: Mapping[str, Any] | None = None,
) -> Audit:
    """Return what the commit of the current call records in the audit log. `now` is in ms."""
    who, where = caller(), origin()
    return Audit(
        operation=operation,
        at=now,
        actor=who.name,
        key_id=who.key_id,
        roles=tuple(sorted(role.value for role in who.roles)) if who.key_id is not None else (),
        address=where.address,
        request_id=where.request_id,
        target=None if target is None else mask_keys(target),
        queue=queue,
        asked=asked or {},
    )


class AuditPage(Struct, frozen=True):
    """A page of entries, newest first."""

    entries: list[AuditEntry]
    cursor: str | None
    """Cursor of the next page; None on the last page."""


class AuditLog(Part):
    """Verbs on the audit log. Entries are written by the commits of the calls."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @verb
    async def list(self, wanted: AuditFilter, limit: int, cursor: str | None) -> AuditPage:
        """Return a page of at most `limit` entries. `cursor` comes from the previous page.

        Only an admin sees the entries of keys. A caller with limited queues sees the entries of
        these queues; its pages may be shorter.
        """
        who, before = caller(), _position(cursor)
        size = max(limit + 1, _CHUNK) if _is_limited(who) else limit + 1
        found: list[AuditEntry] = []
        for _ in range(_MAX_CHUNKS):
            chunk = await self._store.list_audit(wanted, before, size)
            for entry in chunk:
                if len(found) == limit:
                    return AuditPage(found, str(before))
                before = entry.id
                seen = _seen_part(entry, who)
                if seen is not None:
                    found.append(seen)
            if len(chunk) < size:
                return AuditPage(found, None)
        return AuditPage(found, str(before))


def _is_limited(who: Caller) -> bool:
    return who.scope is not None or Role.ADMIN not in who.roles


def _seen_part(entry: AuditEntry, who: Caller) -> AuditEntry | None:
    """Return what a caller sees of an entry; None if it does not exist for the caller."""
    if entry.operation in _OF_ADMINS and Role.ADMIN not in who.roles:
        return None
    if who.scope is None:
        return entry
    if entry.queue is None or entry.queue not in who.scope:
        return None
    return replace(
        entry,
        before=_without_queues(entry.before, who.scope),
        after=_without_queues(entry.after, who.scope),
    )


def _without_queues(text: str | None, scope: Scope) -> str | None:
    """Return values of an entry without the names of queues outside the scope."""
    if text is None:
        return None
    values = loads(text)
    for name in _QUEUES:
        if name in values and values[name] not in scope:
            values[name] = None
    return dumps(values).decode()


def _position(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        reason = "was not issued by this server"
        message = f"The cursor {reason}; start again without a cursor."
        raise CallError(ErrorCode.VALIDATION_ERROR, message, [("cursor", reason)])
    return int(cursor)
