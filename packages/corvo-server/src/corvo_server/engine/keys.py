"""Verbs on API keys, and the check of the key of each call."""

from collections.abc import Sequence
from functools import partial
from hmac import compare_digest
from secrets import token_bytes

from corvo_schema.auth import ApiKeyRequest, Role, RotateKeyRequest
from corvo_schema.errors import ErrorCode
from corvo_server.auth.caller import Caller, caller
from corvo_server.auth.key_text import (
    SECRET_BYTES,
    KeyText,
    MalformedKeyError,
    hash_key,
    new_key,
    read_key,
)
from corvo_server.auth.scope import Scope
from corvo_server.engine import key_rules
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import CallError
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.keys import KeyEdit, KeyRecord, KeyRing, KeyUse
from corvo_server.store.protocol import Store
from corvo_server.store.records import Refusal

FIRST_NAME = "admin"
"""Name of the key that a server makes at its first start."""
_UNKNOWN_HASH = bytes(32)
"""Compared with the hash of an unknown key, so that it takes as long as a known one."""
_HELP = "An admin can make a new one: corvo keys create."


class Keys(Part):
    """All keys of the store, kept in memory. `refresh` finds the changes of other servers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ring = KeyRing(0, b"", {})
        self._callers: dict[str, Caller] = {}
        self._uses: dict[str, int] = {}
        """Last calls by key id that are not stored yet, in ms."""

    @property
    def are_required(self) -> bool:
        """Whether calls need a key: there was one, even if it is no longer valid."""
        return bool(self._ring.keys)

    async def load(self) -> None:
        """Read all keys from the store. Call it before the first call is served."""
        ring = await self._store.list_keys()
        if ring.version >= self._ring.version:  # a slower read may come last
            self._ring = ring
            self._callers = {key.id: caller_of(key) for key in ring.keys.values()}

    async def refresh(self) -> bool:
        """Read the keys again if another server has changed them. Return whether one has."""
        if await self._store.keys_version() == self._ring.version:
            return False
        await self.load()
        return True

    def authenticate(self, text: str) -> Caller:
        """Return the caller with the key `text`. Raise `CallError` if it is not valid."""
        try:
            key = read_key(text)
        except MalformedKeyError as error:
            raise _unauthorized(f"The API key is not valid: {error}.") from None
        record = self._ring.keys.get(key.id)
        known = _UNKNOWN_HASH if record is None else record.hash
        if not compare_digest(hash_key(self._ring.secret, text), known) or record is None:
            raise _unauthorized(
                f"This server does not know the API key {key.id}. It may be a key of another "
                f"server. {_HELP}"
            )
        self._check_valid(record)
        self._uses[key.id] = self._clock()
        return self._callers[key.id]

    def is_valid(self, of: Caller) -> bool:
        """Return whether a caller that was admitted earlier would still be admitted."""
        if of.key_id is None:
            return not self.are_required
        record = self._ring.keys.get(of.key_id)
        return record is not None and record.is_valid(self._clock())

    def find(self, key_id: str) -> KeyRecord | None:
        """Return a key by its id; None if there is none."""
        return self._ring.keys.get(key_id)

    @verb
    async def create(
        self, request: ApiKeyRequest, *, may_lock_out: bool = False
    ) -> tuple[KeyRecord, str]:
        """Make a key. Return it and its text, which is not stored.

        The first key is one of an admin, unless `may_lock_out`: nobody could make another key.
        """
        text, now = new_key(), self._clock()
        record = KeyRecord(
            text.id,
            request.name,
            b"",
            tuple(dict.fromkeys(role.value for role in request.roles)),
            None if request.queues is None else tuple(dict.fromkeys(request.queues)),
            now,
            caller().name,
            None if request.expires_after is None else now + request.expires_after,
        )
        if Role.ADMIN in request.roles and request.queues is not None:
            expected = "must be null for an admin, who can make keys for all queues"
            raise CallError(
                ErrorCode.VALIDATION_ERROR,
                f"queues {expected}. Give the key the role operator instead.",
                [("queues", expected)],
            )
        rule = partial(
            key_rules.create, record=record, text=text.text, now=now, may_lock_out=may_lock_out
        )
        (stored,) = await self._edit(rule)
        return stored, text.text

    @verb
    async def create_first(self, text: KeyText) -> bool:
        """Make `text` the key of an admin if there was never a key. Return whether it was made.

        Of several servers that do so at the same time, one makes its key.
        """
        roles, now = (Role.ADMIN.value,), self._clock()
        record = KeyRecord(text.id, FIRST_NAME, b"", roles, None, now, caller().name)
        return bool(
            await self._edit(partial(key_rules.create_first, record=record, text=text.text))
        )

    @verb
    async def revoke(self, reference: str, *, may_lock_out: bool = False) -> list[KeyRecord]:
        """Revoke the key with this id, or all valid keys with this name. Return them.

        Raise `CallError` if no admin would be left, unless `may_lock_out`.
        """
        return list(
            await self._edit(
                partial(
                    key_rules.revoke,
                    reference=reference,
                    now=self._clock(),
                    may_lock_out=may_lock_out,
                )
            )
        )

    @verb
    async def rotate(self, reference: str, request: RotateKeyRequest) -> tuple[KeyRecord, str]:
        """Make a new key with the name and rights of a valid one, which ends after its grace."""
        text = new_key()
        rule = partial(
            key_rules.rotate,
            reference=reference,
            text=text,
            request=request,
            now=self._clock(),
            by=caller().name,
        )
        new, _ = await self._edit(rule)
        return new, text.text

    @verb
    async def list_all(self) -> list[KeyRecord]:
        """Return all keys, the oldest first, also those that are no longer valid."""
        await self.load()
        uses = self._uses
        return [
            key_rules.changed(key, last_used_at=uses[key.id]) if key.id in uses else key
            for key in self._ring.keys.values()
        ]

    async def store_uses(self) -> int:
        """Store when keys were last used. Return the number of keys."""
        uses, self._uses = self._uses, {}
        if not uses:
            return 0
        try:
            await self._store.note_key_uses([KeyUse(key_id, at) for key_id, at in uses.items()])
        except BaseException:
            self._uses = uses | self._uses
            raise
        return len(uses)

    async def _edit(self, rule: key_rules.Rule) -> Sequence[KeyRecord]:
        change = await self._store.edit_keys(KeyEdit(rule, token_bytes(SECRET_BYTES)))
        if isinstance(change, Refusal):
            raise CallError.of(change)
        await self.load()
        return change

    def _check_valid(self, key: KeyRecord) -> None:
        if key.revoked_at is not None:
            raise _unauthorized(f"The API key {key.id} ({key.name}) was revoked. {_HELP}")
        if not key.is_valid(self._clock()):
            raise _unauthorized(
                f"The API key {key.id} ({key.name}) has expired. {_HELP} If it should still be "
                "valid, compare the clocks of this machine and the server."
            )


def caller_of(key: KeyRecord) -> Caller:
    """Return the caller with a key. Roles that this version does not know allow nothing."""
    known = frozenset(Role(role) for role in key.roles if role in set(Role))
    return Caller(key.name, known, key.id, None if key.queues is None else Scope(key.queues))


def _unauthorized(message: str) -> CallError:
    return CallError(ErrorCode.UNAUTHORIZED, message)
