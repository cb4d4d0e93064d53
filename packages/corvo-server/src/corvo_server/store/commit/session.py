"""The session of a storage engine, which runs each commit as one transaction, and its verbs."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Commit


class Verb(NamedTuple):
    """A kind of write. Within a commit, verbs run by ascending rank."""

    rank: int
    apply: Callable[[Transaction, list[Any]], list[Any]]
    """Carries out the requests of this verb in a commit, and returns one result for each.

    The writer runs a request again in the next commit if its result is `POSTPONED`.
    """
    prefetch: Callable[[Prefetch, list[Any]], None] | None = None
    """Adds the rows that `apply` will read to the prefetch of the commit."""
    memory: Callable[[Any], int] | None = None
    """Returns the bytes of memory that a request takes while it waits."""
    is_new_work: bool = False
    """Whether requests are refused as soon as the backlog is full."""


class Group(NamedTuple):
    """All requests of one verb in a commit."""

    verb: Verb
    requests: list[Any]


class CommitError(Exception):
    """Raised when a transaction could not begin or commit, for reasons outside its operations."""


class Session(Protocol):
    """The writing connection of one storage engine. Used by one thread at a time."""

    def begin(self, groups: list[Group]) -> Transaction:
        """Open a transaction for these requests, and prefetch their rows."""
        ...

    def commit(self, tx: Transaction) -> Commit:
        """Make the writes of `tx` durable. Return the effects of the commit.

        Raises `OutcomeUnknown` if the commit may have succeeded. Any other exception means that
        certainly nothing was written, also after a crash. After either one, the session reads
        everything from the database again.
        """
        ...

    def rollback(self) -> None:
        """Roll back the open transaction, if there is one. Never raises."""
        ...

    def may_retry(self, error: Exception, tries: int) -> bool:
        """Return whether to run the same requests again, after `tries` transactions have failed.

        `error` is never `OutcomeUnknown`. May wait before it returns.
        """
        ...

    def explain(self, error: Exception) -> Exception:
        """Return the exception for the caller, a new one for each call.

        Return a `StoreUnavailable` if the database failed, and `error` itself if it is a bug.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
