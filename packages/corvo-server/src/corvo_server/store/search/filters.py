"""Filters of jobs, and their translation into SQL for all engines.

A `Dialect` has the SQL in which the engines differ. All values from a request are bound.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct

from corvo_schema.search import ErrorScope
from corvo_schema.states import JobState, Priority
from corvo_server.store.rows.codes import STATE_CODES
from corvo_server.store.search.conditions import (
    And,
    Compare,
    CompareLength,
    Condition,
    MatchText,
    Not,
    Or,
    Truthy,
)
from corvo_server.store.search.fragments import Sql, all_of, any_of, bind, fuse, one_of

_UNFAILED = (STATE_CODES[JobState.ACTIVE], STATE_CODES[JobState.COMPLETED])
"""States in which the last attempt has not failed, whatever happened to earlier ones."""

DocumentTest: TypeAlias = Truthy | Compare | CompareLength | MatchText


class Span(Struct, frozen=True):
    """An open interval of time in ms since the epoch. An end of None is unlimited."""

    after: int | None = None
    before: int | None = None


ALWAYS = Span()


class JobFilter(Struct, frozen=True):
    """A filter of jobs. A job matches if it matches every field that is set.

    Texts are compared literally: upper and lower case differ, and there are no wildcards.
    """

    queue: str | None = None
    queues: frozenset[str] | None = None
    """Accepted queues, if `queue` names none; None accepts all."""
    states: frozenset[JobState] = frozenset()
    """Accepted states; the empty set accepts all states."""
    priority: Priority | None = None
    tags: Mapping[str, str] = {}
    payload_contains: str | None = None
    payload: Condition | None = None
    created: Span = ALWAYS
    scheduled: Span = ALWAYS
    started: Span = ALWAYS
    completed: Span = ALWAYS
    failed: Span = ALWAYS
    expire: Span = ALWAYS
    attempt_min: int | None = None
    attempt_max: int | None = None
    unique_key: str | None = None
    batch_id: str | None = None
    worker_id: str | None = None
    has_errors: bool | None = None
    error_contains: str | None = None
    error_scope: ErrorScope = ErrorScope.ANY
    id_prefix: str | None = None

    @property
    def all_queues(self) -> frozenset[str] | None:
        """Accepted queues; None accepts all."""
        return self.queues if self.queue is None else frozenset((self.queue,))

    @property
    def is_of_queues(self) -> bool:
        """Whether the filter has only queues and states."""
        return self == JobFilter(queue=self.queue, queues=self.queues, states=self.states)

    @property
    def reads_documents(self) -> bool:
        """Whether the filter looks into payloads or errors, for which there is no index."""
        texts = (self.payload_contains, self.payload, self.error_contains)
        return any(text is not None for text in texts)


class Dialect(Protocol):
    """The SQL in which engines differ. Each method returns a condition that is never null."""

    def test(self, test: DocumentTest) -> Sql:
        """Return the condition that `test` is true for the document `jobs.payload`."""
        ...

    def guard(self, condition: Sql) -> Sql:
        """Return `condition`, made false for documents that the engine's JSON cannot parse."""
        ...

    def contains(self, column: str, text: str) -> Sql:
        """Return the condition that a text column contains `text`. The column is never null."""
        ...

    def is_among(self, column: str, names: Iterable[str]) -> Sql:
        """Return the condition that a text column has one of `names`, of any number."""
        ...

    def starts_with(self, column: str, prefix: str) -> Sql:
        """Return the condition that a text column starts with `prefix`. It can use an index."""
        ...

    def has_tag(self, key: str, value: str) -> Sql:
        """Return the condition that the job of `jobs` has the tag `key` with exactly `value`."""
        ...


def where(wanted: JobFilter, dialect: Dialect) -> Sql:
    """Return the condition that a row of `jobs` matches `wanted`, cheap tests first."""
    return all_of(
        [
            *_columns(wanted),
            *(
                [dialect.is_among("jobs.queue", sorted(wanted.queues))]
                if wanted.queues is not None
                else []
            ),
            *(
                [dialect.starts_with("jobs.id", wanted.id_prefix)]
                if wanted.id_prefix is not None
                else []
            ),
            *(dialect.has_tag(key, value) for key, value in wanted.tags.items()),
            *_errors(wanted, dialect),
            *_payload(wanted, dialect),
        ]
    )


def _columns(wanted: JobFilter) -> Iterable[Sql]:
    if wanted.states:
        yield one_of("jobs.state", sorted(STATE_CODES[state] for state in wanted.states))
    for column, value in (
        ("queue", wanted.queue),
        ("priority", None if wanted.priority is None else int(wanted.priority)),
        ("unique_key", wanted.unique_key),
        ("batch_id", wanted.batch_id),
        ("worker_id", wanted.worker_id),
    ):
        if value is not None:
            yield fuse(f"jobs.{column} = {{}}", bind(value))
    if wanted.attempt_min is not None:
        yield fuse("jobs.attempt >= {}", bind(wanted.attempt_min))
    if wanted.attempt_max is not None:
        yield fuse("jobs.attempt <= {}", bind(wanted.attempt_max))
    yield from within("jobs.created_at", wanted.created)
    yield from within("jobs.scheduled_at", wanted.scheduled)
    yield from within("jobs.started_at", wanted.started)
    yield from within("jobs.failed_at", wanted.failed)
    yield from within("jobs.expire_at", wanted.expire)
    if wanted.completed != ALWAYS:
        yield fuse("jobs.state = {}", bind(STATE_CODES[JobState.COMPLETED]))
        yield from within("jobs.finished_at", wanted.completed)


def within(column: str, span: Span) -> Iterable[Sql]:
    """Return the conditions that a column of times lies in `span`. Null matches no limit."""
    if span.after is not None:
        yield fuse(f"{column} > {{}}", bind(span.after))
    if span.before is not None:
        yield fuse(f"{column} < {{}}", bind(span.before))


def _errors(wanted: JobFilter, dialect: Dialect) -> Iterable[Sql]:
    failures = "EXISTS (SELECT 1 FROM job_failures AS f WHERE f.job_seq = jobs.seq{}{})"
    scope = Sql("")
    if wanted.error_scope is ErrorScope.LAST:
        scope = fuse(" AND f.at = jobs.failed_at AND NOT {}", one_of("jobs.state", _UNFAILED))
    if wanted.has_errors is not None:
        yield fuse(("" if wanted.has_errors else "NOT ") + failures, scope, Sql(""))
    if wanted.error_contains is not None:
        test = dialect.contains("f.error", wanted.error_contains)
        yield fuse(failures, scope, fuse(" AND {}", test))


def _payload(wanted: JobFilter, dialect: Dialect) -> Iterable[Sql]:
    if wanted.payload_contains is not None:
        spellings = _spellings(wanted.payload_contains)
        yield any_of(dialect.contains("jobs.payload", spelling) for spelling in spellings)
    if wanted.payload is not None:
        yield dialect.guard(_document(wanted.payload, dialect))


def _document(condition: Condition, dialect: Dialect) -> Sql:
    match condition:
        case Not(inner):
            return fuse("NOT {}", _document(inner, dialect))
        case And(parts):
            return all_of(_document(part, dialect) for part in parts)
        case Or(parts):
            return any_of(_document(part, dialect) for part in parts)
        case _:
            return dialect.test(condition)


def _spellings(text: str) -> list[str]:
    """Return the forms in which `text` can occur in JSON: raw, or escaped within a string.

    Payloads are stored as they were sent, and many clients escape all non-ASCII characters.
    """
    in_string = json.dumps(text, ensure_ascii=False)[1:-1]
    in_ascii_string = json.dumps(text)[1:-1]
    return list(dict.fromkeys((text, in_string, in_ascii_string)))
