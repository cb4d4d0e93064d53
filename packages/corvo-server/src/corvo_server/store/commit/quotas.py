"""The limits of API keys, checked for the enqueues of one commit."""

from collections.abc import Iterable

from corvo_schema.errors import ErrorCode
from corvo_server.store.commit.tables import Usage
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Enqueue, Quota, Refusal

_RETRY_AFTER = 5
"""Seconds after which a refused caller may try again."""
_HOW = "An admin can make a key with other limits."


class Quotas:
    """What the keys of one commit use, with the enqueues of the commit so far."""

    def __init__(self, tx: Transaction, requests: Iterable[Enqueue]) -> None:
        """Lock the usage of all keys with limits, so that no other server adds to it meanwhile."""
        names = sorted({request.quota.name for request in requests if request.quota})
        self._usage = tx.tables.key_usage.lock(names) if names else {}

    def take(self, quota: Quota, more: Usage) -> Refusal | None:
        """Add `more` to the usage of a key. Return a refusal, and add nothing, if a limit forbids.

        Jobs that this commit ends or deletes still count: their places are free for the next one.
        """
        used = self._usage.get(quota.name, Usage())
        refusal = _over(
            quota.name, "max_waiting", "jobs waiting", quota.max_waiting, used.waiting, more.waiting
        ) or _over(
            quota.name, "max_bytes", "bytes of payloads", quota.max_bytes, used.bytes, more.bytes
        )
        if refusal is None:
            self._usage[quota.name] = used.plus(*more)
        return refusal


def _over(  # noqa: PLR0917 - the parts of one sentence
    name: str, limit: str, unit: str, most: int | None, used: int, more: int
) -> Refusal | None:
    if most is None or more <= 0 or used + more <= most:
        return None
    allowed = f"at most {most} {unit} for the API key {name!r}"
    if more > most:
        return Refusal(
            ErrorCode.PAYLOAD_TOO_LARGE,
            f"{limit}: {allowed}, but this request alone adds {more}. Send less at once. {_HOW}",
            details=[(limit, allowed)],
        )
    return Refusal(
        ErrorCode.OVERLOADED,
        f"{limit}: {allowed}. It has {used}, and this request adds {more}. Nothing was stored. Try "
        f"again when some of them are done or deleted. {_HOW}",
        details=[(limit, f"{allowed}; it has {used}")],
        retry_after=_RETRY_AFTER,
    )
