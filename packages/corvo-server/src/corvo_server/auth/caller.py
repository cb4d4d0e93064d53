"""The caller of the request that runs now."""

from contextvars import ContextVar
from typing import NamedTuple

from msgspec import Struct

from corvo_schema.auth import Role
from corvo_server.auth.scope import Scope
from corvo_server.store.records import Quota


class Caller(Struct, frozen=True):
    """Who calls, and what they may do."""

    name: str
    """Name of the key; `server` for the server itself, `anonymous` without keys."""
    roles: frozenset[Role]
    key_id: str | None = None
    scope: Scope | None = None
    """The queues of the caller; None means all."""
    max_rate: int | None = None
    """Requests a second; None means no limit."""
    quota: Quota | None = None
    """Limits of what the caller stores; None without any."""

    @property
    def actor(self) -> str | None:
        """Name for the events of jobs; None if the caller has no key."""
        return None if self.key_id is None else self.name

    def may(self, roles: frozenset[Role]) -> bool:
        """Return whether the caller has one of `roles`. An admin has all."""
        return Role.ADMIN in self.roles or not self.roles.isdisjoint(roles)

    def sees(self, queue: str) -> bool:
        """Return whether the queue exists for the caller."""
        return self.scope is None or queue in self.scope


class Origin(NamedTuple):
    """Where a call comes from."""

    address: str | None = None
    request_id: str | None = None


SERVER = Caller("server", frozenset({Role.ADMIN}))
"""The server itself: its services act without a request."""
ANONYMOUS = Caller("anonymous", frozenset({Role.ADMIN}))
"""Everybody, while the server needs no keys."""
STRANGER = Caller("stranger", frozenset())
"""Somebody without a key, on the few paths that need none."""

_current: ContextVar[Caller] = ContextVar("corvo_caller", default=SERVER)


def caller() -> Caller:
    """Return the caller of the current request; `SERVER` outside of requests."""
    return _current.get()


set_caller = _current.set
"""Set the caller of the current request. Connections set it anew for each of their requests."""

_NOWHERE = Origin()
_origin: ContextVar[Origin] = ContextVar("corvo_origin", default=_NOWHERE)


def origin() -> Origin:
    """Return where the current request comes from; empty outside of requests."""
    return _origin.get()


set_origin = _origin.set
"""Set the origin of the current request, before an audited call."""
