"""The rules of webhooks and sources: what a change may do, decided from all stored ones. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError
from corvo_server.store.records import Refusal
from corvo_server.store.webhooks import Hook, HookChange, R, SourceRecord, WebhookRecord
from corvo_server.webhooks.signing import MalformedSecretError, key_of, new_secret

MAX_HOOKS = 100
"""Maximum number of webhooks, and of sources."""


_WORDS: dict[type[Hook], str] = {WebhookRecord: "webhook", SourceRecord: "webhook source"}


def secret_of(given: str | None, *, is_standard: bool = True) -> str:
    """Return the secret of a request, or a new one. Raise `CallError` if it is malformed.

    `is_standard` says whether it must be one of Standard Webhooks.
    """
    if given is None:
        return new_secret()
    if is_standard:
        try:
            key_of(given)
        except MalformedSecretError as error:
            raise CallError(
                ErrorCode.VALIDATION_ERROR, f"secret: {error}", [("secret", str(error))]
            ) from None
    return given


def create(stored: Mapping[str, R], *, record: R, position: int) -> HookChange[R] | Refusal:
    """Add a record. No other may have its name."""
    word = _WORDS[type(record)]
    if record.name in stored:
        return Refusal(
            ErrorCode.INVALID_STATE,
            f"There is a {word} with the name {record.name!r} already. Choose another name, or "
            "delete that one.",
        )
    if len(stored) >= MAX_HOOKS:
        return Refusal(
            ErrorCode.INVALID_STATE, f"There are {MAX_HOOKS} {word}s, which is the maximum."
        )
    return HookChange(record.name, record, position)


def edit(
    stored: Mapping[str, R], *, kind: type[R], name: str, change: Callable[[R], HookChange[R]]
) -> HookChange[R] | Refusal:
    """Change the record with this name, which must exist."""
    record = stored.get(name)
    if record is None:
        return Refusal(ErrorCode.NOT_FOUND, f"There is no {_WORDS[kind]} {name!r}.")
    return change(record)


def remove(record: R) -> HookChange[R]:
    """Delete a record."""
    return HookChange(record.name, None)


def reset(
    record: WebhookRecord, *, values: dict[str, Any], is_enabled: bool, position: int, now: int
) -> HookChange[WebhookRecord]:
    """Give a webhook other settings. One that is enabled again starts at `position`."""
    after = replace(
        record,
        **values,
        is_enabled=is_enabled,
        disabled_reason=None if is_enabled else record.disabled_reason,
        updated_at=now,
    )
    is_back = is_enabled and not record.is_enabled
    return HookChange(record.name, after, position if is_back else None)


def disable(
    record: WebhookRecord, *, record_id: str, reason: str, now: int
) -> HookChange[WebhookRecord]:
    """Disable a webhook, unless it is another one with its name by now."""
    if record.id != record_id:
        return HookChange(record.name, record)
    return HookChange(
        record.name, replace(record, is_enabled=False, disabled_reason=reason, updated_at=now)
    )


def rotate(record: R, *, secret: str, grace: int | None, now: int) -> HookChange[R]:
    """Give a record a new secret. The old one is used as well for `grace` ms."""
    return HookChange(
        record.name,
        replace(
            record,
            secret=secret,
            old_secret=record.secret if grace else None,
            old_secret_until=now + grace if grace else None,
            updated_at=now,
        ),
    )
