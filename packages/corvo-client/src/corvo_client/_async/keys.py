"""Client methods for API keys."""

from collections.abc import Sequence

from corvo_client._async.base import AsyncBase
from corvo_client._calls import keys as calls
from corvo_client._options import AnyDuration
from corvo_schema import ApiKey, AuthStatus, KeyStatusReply, NewApiKey, Role


class AsyncKeys(AsyncBase):
    """Manage API keys. All methods but `auth_status` need a key with the role admin.

    `key` is the id or the name of a key. Durations are a `timedelta` or a text like `90d`.
    """

    async def auth_status(self) -> AuthStatus:
        """Return whether the server needs keys, and what the key of this client may do."""
        return await self._send(calls.auth_status())

    async def list_keys(self) -> list[ApiKey]:
        """Return all keys, the oldest first, also revoked and expired ones."""
        return await self._send(calls.list_keys())

    async def create_key(
        self,
        name: str,
        *,
        roles: Sequence[Role | str],
        queues: Sequence[str] | None = None,
        expires_after: AnyDuration | None = None,
        max_rate: int | None = None,
        max_waiting: int | None = None,
        max_bytes: int | None = None,
    ) -> NewApiKey:
        """Create a key; only this reply has its text, in `key`. `queues` are patterns (`emails.*`).

        `max_rate` is in requests a second, `max_waiting` in jobs enqueued with the key that wait,
        `max_bytes` in bytes of the payloads of all its stored jobs.

        Raises `ValidationFailed`, and `InvalidState` if a valid key has that name, or if it is the
        first key and has not the role admin.
        """
        return await self._send(
            calls.create_key(
                name,
                roles=roles,
                queues=queues,
                expires_after=expires_after,
                max_rate=max_rate,
                max_waiting=max_waiting,
                max_bytes=max_bytes,
            )
        )

    async def rotate_key(
        self,
        key: str,
        *,
        grace: AnyDuration | None = None,
        expires_after: AnyDuration | None = None,
    ) -> NewApiKey:
        """Create a key with the name and rights of another, which stays valid for `grace`.

        Raises `NotFound`, and `InvalidState` if the old key is no longer valid.
        """
        return await self._send(calls.rotate_key(key, grace=grace, expires_after=expires_after))

    async def revoke_key(self, key: str) -> KeyStatusReply:
        """Revoke a key by its id, or all valid keys with its name.

        Raises `NotFound`, and `InvalidState` for the last valid key of an admin.
        """
        return await self._send(calls.revoke_key(key))
