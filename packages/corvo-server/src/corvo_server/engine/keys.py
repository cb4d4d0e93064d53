"""Verbs on API keys, and the check of the key of each call."""

from collections.abc import Callable, Sequence
from functools import partial
from secrets import token_bytes

from corvo_schema.audit import AuditOperation
from corvo_schema.auth import ApiKeyRequest, Role, RotateKeyRequest
from corvo_schema.errors import ErrorCode
from corvo_server.auth.caller import SERVER, Caller, caller
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
from corvo_server.engine.audit import audited
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import CallError
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.keys import KeyEdit, KeyRecord, KeyRing, KeyUse
from corvo_server.store.protocol import Store
from corvo_server.store.records import Quota, Refusal

FIRST_NAME = "admin"
"""Name of the key that a server makes at its first start."""
_HELP = "An admin can make a new one: corvo keys create."


class Keys(Part):
    """All keys of the store, kept in memory. `refresh` finds the changes of other servers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._ring = KeyRing(0, b"", {})
        self._callers: dict[str, Caller] = {}
        self._by_hash: dict[bytes, KeyRecord] = {}
        self._uses: dict[str, int] = {}
        """Last calls by key id that are not stored yet, in ms."""
        self._next_end: int | None = None
        """The first time (ms) at which a valid key expires; None if none does."""
        self._listeners: list[Callable[[], None]] = []

    @property
    def are_required(self) -> bool:
        """Whether calls need a key: there was one, even if it is no longer valid."""
        return bool(self._ring.keys)

    @verb
    async def load(self) -> None:
        """Read all keys from the store. Call it before the first call is served."""
        ring = await self._store.list_keys()
        if ring.version >= self._ring.version:  # a slower read may come last
            self._ring = ring
            self._callers = {key.id: caller_of(key) for key in ring.keys.values()}
            self._by_hash = {key.hash: key for key in ring.keys.values()}
            self._note_ends()

    @verb
    async def refresh(self) -> bool:
        """Read the keys again if another server has changed them. Return whether one has.

        Call it often: it also finds out which keys have expired.
        """
        if self._next_end is not None and self._clock() >= self._next_end:
            self._note_ends()
        if await self._store.keys_version() == self._ring.version:
            return False
        await self.load()
        return True

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever keys may have ended, so that long calls end with theirs."""
        self._listeners.append(listener)

    def authenticate(self, text: str) -> Caller:
        """Return the caller with the key `text`. Raise `CallError` if it is not valid."""
        # How long the look-up takes tells nothing: nobody else can compute the keyed hash.
        secret = self._ring.secret
        record = self._by_hash.get(hash_key(secret, text)) if text.isascii() else None
        if record is None:
            raise _unauthorized(_why_unknown(text))
        now = self._clock()
        if not record.is_valid(now):
            self._check_valid(record)
        self._uses[record.id] = now
        return self._callers[record.id]

    def is_valid(self, of: Caller) -> bool:
        """Return whether a caller that was admitted earlier would still be admitted."""
        if of.key_id is None:
            return of is SERVER or not self.are_required
        record = self._ring.keys.get(of.key_id)
        return record is not None and record.is_valid(self._clock())

    def check_valid(self, of: Caller) -> None:
        """Raise `CallError` if a caller that was admitted earlier would not be admitted now."""
        if self.is_valid(of):
            return
        record = None if of.key_id is None else self._ring.keys.get(of.key_id)
        if record is None:
            raise _unauthorized("This server needs an API key since this call began.")
        self._check_valid(record)

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
            max_rate=request.max_rate,
            max_waiting=request.max_waiting,
            max_bytes=request.max_bytes,
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
        (stored,) = await self._edit(AuditOperation.CREATE_KEY, request.name, rule)
        return stored, text.text

    @verb
    async def create_first(self, text: KeyText) -> bool:
        """Make `text` the key of an admin if there was never a key. Return whether it was made.

        Of several servers that do so at the same time, one makes its key.
        """
        roles, now = (Role.ADMIN.value,), self._clock()
        record = KeyRecord(text.id, FIRST_NAME, b"", roles, None, now, caller().name)
        rule = partial(key_rules.create_first, record=record, text=text.text)
        return bool(await self._edit(AuditOperation.CREATE_KEY, FIRST_NAME, rule))

    @verb
    async def revoke(self, reference: str, *, may_lock_out: bool = False) -> list[KeyRecord]:
        """Revoke the key with this id, or all valid keys with this name. Return them.

        Raise `CallError` if no admin would be left, unless `may_lock_out`.
        """
        return list(
            await self._edit(
                AuditOperation.REVOKE_KEY,
                reference,
                partial(
                    key_rules.revoke,
                    reference=reference,
                    now=self._clock(),
                    may_lock_out=may_lock_out,
                ),
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
        new, _ = await self._edit(AuditOperation.ROTATE_KEY, reference, rule)
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

    @verb
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

    def _note_ends(self) -> None:
        """Call the listeners, and find out which key expires next."""
        now = self._clock()
        ends = [key.expires_at for key in self._ring.keys.values() if key.is_valid(now)]
        self._next_end = min((end for end in ends if end is not None), default=None)
        for listener in self._listeners:
            listener()

    async def _edit(
        self, operation: AuditOperation, reference: str, rule: key_rules.Rule
    ) -> Sequence[KeyRecord]:
        audit = audited(operation, self._clock(), target=reference)
        edit = KeyEdit(rule, token_bytes(SECRET_BYTES), audit)
        change = await self._store.edit_keys(edit)
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
    quota = None
    if key.max_waiting is not None or key.max_bytes is not None:
        quota = Quota(key.name, key.max_waiting, key.max_bytes)
    scope = None if key.queues is None else Scope(key.queues)
    return Caller(key.name, known, key.id, scope, key.max_rate, quota)


def _why_unknown(text: str) -> str:
    """Return why no stored key has this text."""
    try:
        key = read_key(text)
    except MalformedKeyError as error:
        return f"The API key is not valid: {error}."
    return (
        f"This server does not know the API key {key.id}. It may be a key of another server. "
        f"{_HELP}"
    )


def _unauthorized(message: str) -> CallError:
    return CallError(ErrorCode.UNAUTHORIZED, message)
