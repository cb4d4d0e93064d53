"""The values that columns may have, for `corvo-server check`. The rules hold for every engine."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import orjson

from corvo_schema import BulkAction, BulkStatus, Misfire, is_queue_name
from corvo_schema.audit import DONE
from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType, Priority
from corvo_server.store.bulk import EMPTYING
from corvo_server.store.rows.codes import BACKOFFS, STATES

LATEST = 253_402_300_799_999
"""The last millisecond of the year 9999, the latest time that a reply can contain."""


class Rule(NamedTuple):
    """A rule for the values of a column. NULL passes; NOT NULL is part of the schema."""

    holds: Callable[[Any], bool]
    expected: str


def _one_of(values: Collection[Any]) -> Rule:
    allowed = frozenset(values)
    return Rule(allowed.__contains__, f"one of {', '.join(str(value) for value in values)}")


def is_document(text: str | bytes) -> bool:
    """Return whether a text is JSON."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def is_tags(text: str | bytes) -> bool:
    """Return whether a text is a JSON object of texts."""
    try:
        tags = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(tags, dict) and all(isinstance(value, str) for value in tags.values())


_JSON = Rule(is_document, "JSON")
_TAGS = Rule(is_tags, "a JSON object of texts")
_QUEUE = Rule(lambda name: isinstance(name, str) and is_queue_name(name), "the name of a queue")
_COUNT = Rule(lambda number: number >= 0, "0 or more")
_TIME = Rule(lambda ms: 0 <= ms <= LATEST, f"a time from 0 to {LATEST} ms")
_FLAG = _one_of((0, 1))

DOCUMENTS = {
    ("jobs", "payload"): _JSON,
    ("jobs", "tags"): _TAGS,
    ("jobs", "progress"): _JSON,
    ("jobs", "checkpoint"): _JSON,
    ("jobs", "result"): _JSON,
    ("batches", "callback_payload"): _JSON,
    ("schedules", "payload"): _JSON,
    ("schedules", "tags"): _TAGS,
    ("bulk_operations", "request"): _JSON,
    ("events", "data"): _JSON,
    ("audit", "roles"): _JSON,
    ("audit", "before"): _JSON,
    ("audit", "after"): _JSON,
}
"""Columns of JSON text, by table and column."""

CODES = {
    ("jobs", "queue"): _QUEUE,
    ("jobs", "state"): _one_of(range(len(STATES))),
    ("jobs", "priority"): _one_of([int(priority) for priority in Priority]),
    ("jobs", "backoff"): _one_of(range(len(BACKOFFS))),
    ("jobs", "is_batch_counted"): _FLAG,
    ("jobs", "is_cancel_requested"): _FLAG,
    ("queues", "name"): _QUEUE,
    ("queues", "is_paused"): _FLAG,
    ("queues", "is_draining"): _FLAG,
    ("schedules", "queue"): _QUEUE,
    ("schedules", "priority"): _one_of([int(priority) for priority in Priority]),
    ("schedules", "misfire"): _one_of([word.value for word in Misfire]),
    ("schedules", "is_paused"): _FLAG,
    ("bulk_operations", "action"): _one_of(
        [*(word.value for word in BulkAction), *sorted(EMPTYING)]
    ),
    ("bulk_operations", "status"): _one_of([word.value for word in BulkStatus]),
    ("events", "type"): _one_of([word.value for word in EventType]),
    ("events", "queue"): _QUEUE,
    ("audit", "queue"): _QUEUE,
    ("audit", "outcome"): _one_of([DONE, *(code.value for code in ErrorCode)]),
}
"""Columns with few distinct values."""

NUMBERS = {
    **{("jobs", name): _COUNT for name in ("attempt", "max_retries", "base_delay", "max_delay")},
    **{("jobs", name): _TIME for name in ("created_at", "started_at", "finished_at", "failed_at")},
    **{("batches", name): _COUNT for name in ("total", "succeeded", "failed", "cancelled")},
    **{("batches", name): _TIME for name in ("created_at", "finished_at")},
    ("job_failures", "attempt"): _COUNT,
    ("job_failures", "at"): _TIME,
    ("queues", "created_at"): _TIME,
    ("throttle_starts", "starts"): _COUNT,
    ("events", "at"): _TIME,
    ("audit", "at"): _TIME,
}
"""Columns with a range of numbers."""
