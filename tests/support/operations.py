"""Every operation of the API that changes something: its preparation, its request, its repeat.

Tests of faults run all of them. `test_operations.py` fails if an endpoint of `openapi.json` is
not in `OPERATIONS`, `READS` or `KEYS`.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from support.preparations import (
    Prepare,
    ack_without_token,
    active,
    bulk,
    cancel_bulk,
    change,
    clear,
    clear_defaults,
    create_hook,
    create_schedule,
    dead,
    delete_job,
    delete_queue,
    edit_hook,
    edit_schedule,
    end,
    end_batch,
    end_last_job_of_batch,
    enqueue,
    enqueue_batch,
    enqueue_with_taken_key,
    enqueue_without_id,
    fetch,
    heartbeat,
    pending,
    receive_webhook,
    set_queue,
)

MANY = 300
"""Number of jobs of a large operation. It needs one commit for the call, and one per 250 jobs."""
READS = ("POST /jobs/bulk-get", "POST /jobs/search")
"""Endpoints with a method other than GET that change nothing."""
KEYS = ("POST /auth/keys", "POST /auth/keys/{key}/rotate", "DELETE /auth/keys/{key}")
"""Endpoints of keys. From the first key on every call needs one, and tests of faults call without.

That their changes are atomic is shown by the conformance tests of the audit log.
"""


class Repeat(Enum):
    """What the second of two equal requests does, if the first one was done."""

    NOTHING = "nothing"
    """It changes nothing. Clients repeat it without looking."""
    SAME_VALUES = "same values"
    """It sets the same values again. Each call adds an event to its job."""
    AGAIN = "again"
    """It has a second effect. Clients look whether the first one was done."""


class Operation(NamedTuple):
    """One changing request on a prepared world."""

    name: str
    endpoint: str
    """Method and path of `openapi.json`, without the prefix of the API."""
    prepare: Prepare
    """The effect of the request is what changes in `World.view`."""
    status: int = 200
    """Status of the first request."""
    repeat: Repeat = Repeat.NOTHING
    repeat_status: int = 200
    """Status of the same request after the effect."""
    commits: int = 1
    """Number of transactions until the effect is complete."""
    is_soon_over: bool = False
    """Whether a service ends what the call changes. Tests with crashes hold the services."""


_BROKE = {"error": "it broke"}
_JOB = "/jobs/{job_id}"
_QUEUE = "/queues/{name}"
_SCHEDULE = "/schedules/{schedule}"
_HOOK = "/webhooks/{name}"
_SOURCE = "/webhook-sources/{name}"
_TAKEN: dict[str, Any] = {"repeat_status": 409}
_AGAIN, _SAME = Repeat.AGAIN, Repeat.SAME_VALUES
_LATER = {"retry_base_delay": "1h", "retry_max_delay": "1h"}

OPERATIONS: Sequence[Operation] = (
    Operation("enqueue", "POST /enqueue", enqueue(), 201),
    Operation("enqueue later", "POST /enqueue", enqueue(delay="1h"), 201),
    Operation("enqueue with a key", "POST /enqueue", enqueue(unique_key="key"), 201),
    Operation("enqueue without an id", "POST /enqueue", enqueue_without_id, 201, _AGAIN, 201),
    Operation("replace", "POST /enqueue", enqueue_with_taken_key("replace"), 200, _SAME),
    Operation(
        "reschedule", "POST /enqueue", enqueue_with_taken_key("reschedule", delay="1h"), 200, _SAME
    ),
    Operation("enqueue jobs", "POST /enqueue/batch", enqueue_batch(), 201, Repeat.NOTHING, 201),
    Operation(
        "enqueue a batch",
        "POST /enqueue/batch",
        enqueue_batch(has_batch=True),
        201,
        Repeat.NOTHING,
        201,
    ),
    Operation("fetch", "POST /fetch", fetch(), repeat_status=204),
    Operation("fetch jobs", "POST /fetch/batch", fetch(3)),
    Operation("ack", "POST /ack/{job_id}", end("ack")),
    Operation("ack with a result", "POST /ack/{job_id}", end("ack", {"result": {"sum": 3}})),
    Operation("ack without a token", "POST /ack/{job_id}", ack_without_token, repeat_status=409),
    Operation("ack the last job", "POST /ack/{job_id}", end_last_job_of_batch("ack", {})),
    Operation("ack jobs", "POST /ack/batch", end_batch("ack", "acks", {"result": 1})),
    Operation("fail", "POST /fail/{job_id}", end("fail", _BROKE, **_LATER)),
    Operation("fail for good", "POST /fail/{job_id}", end("fail", _BROKE, max_retries=1)),
    Operation("fail and cancel", "POST /fail/{job_id}", end("fail", {**_BROKE, "cancel": True})),
    Operation(
        "fail the last job",
        "POST /fail/{job_id}",
        end_last_job_of_batch("fail", {**_BROKE, "retry": False}),
    ),
    Operation("fail jobs", "POST /fail/batch", end_batch("fail", "fails", _BROKE, **_LATER)),
    Operation("release", "POST /release/{job_id}", end("release"), repeat_status=409),
    Operation(
        "release for later",
        "POST /release/{job_id}",
        end("release", {"delay": "1h", "checkpoint": {"at": 7}}),
        repeat_status=409,
    ),
    Operation("release jobs", "POST /release/batch", end_batch("release", "releases")),
    Operation("heartbeat", "POST /heartbeat", heartbeat),
    Operation("cancel", f"POST {_JOB}/cancel", change("cancel", pending), repeat_status=409),
    Operation("cancel an active job", f"POST {_JOB}/cancel", change("cancel", active)),
    Operation("retry", f"POST {_JOB}/retry", change("retry", dead), repeat_status=409),
    Operation("requeue", f"POST {_JOB}/requeue", change("requeue", dead), repeat_status=409),
    Operation(
        "move", f"POST {_JOB}/move", change("move", pending, lambda world: {"queue": world.other})
    ),
    Operation(
        "change a priority",
        f"POST {_JOB}/priority",
        change("priority", pending, lambda _: {"priority": "high"}),
    ),
    Operation("delete a job", f"DELETE {_JOB}", delete_job, repeat_status=404),
    Operation("cancel jobs", "POST /jobs/bulk", bulk("cancel")),
    Operation("move found jobs", "POST /jobs/bulk", bulk("move", has_filter=True)),
    Operation("delete found jobs", "POST /jobs/bulk", bulk("delete", has_filter=True)),
    Operation(
        "change many priorities",
        "POST /jobs/bulk",
        bulk("change_priority", count=MANY, priority="high"),
        commits=3,
    ),
    Operation(
        "cancel jobs in the background",
        "POST /jobs/bulk",
        bulk("cancel", **{"async": True}),
        202,
        Repeat.NOTHING,
        202,
        commits=2,
    ),
    Operation(
        "cancel a bulk operation",
        "POST /bulk/{bulk_id}/cancel",
        cancel_bulk,
        repeat_status=409,
        is_soon_over=True,
    ),
    Operation("pause", f"POST {_QUEUE}/pause", set_queue("pause")),
    Operation("resume", f"POST {_QUEUE}/resume", set_queue("resume", before="drain")),
    Operation("drain", f"POST {_QUEUE}/drain", set_queue("drain")),
    Operation(
        "limit",
        f"POST {_QUEUE}/concurrency",
        set_queue("concurrency", {"max": 3, "per_key": 2}),
    ),
    Operation(
        "throttle", f"POST {_QUEUE}/throttle", set_queue("throttle", {"rate": 9, "period": "1m"})
    ),
    Operation(
        "lift a throttle",
        f"DELETE {_QUEUE}/throttle",
        set_queue("throttle", before="throttle", method="DELETE"),
    ),
    Operation(
        "set the defaults of a queue",
        f"PUT {_QUEUE}/defaults",
        set_queue("defaults", {"max_retries": 7, "tags": {"a": "b"}}, method="PUT"),
    ),
    Operation("clear the defaults of a queue", f"DELETE {_QUEUE}/defaults", clear_defaults),
    Operation("clear", f"POST {_QUEUE}/clear", clear(3)),
    Operation("clear many", f"POST {_QUEUE}/clear", clear(MANY), commits=3),
    Operation("delete a queue", f"DELETE {_QUEUE}", delete_queue(3), repeat_status=404),
    Operation(
        "delete a large queue",
        f"DELETE {_QUEUE}",
        delete_queue(MANY),
        repeat_status=404,
        commits=3,
    ),
    Operation("create a schedule", "POST /schedules", create_schedule, 201),
    Operation(
        "edit a schedule", "POST /schedules", edit_schedule("POST", "/schedules", cron="@monthly")
    ),
    Operation(
        "replace a schedule", f"PUT {_SCHEDULE}", edit_schedule("PUT", _SCHEDULE, cron="@monthly")
    ),
    Operation(
        "delete a schedule",
        f"DELETE {_SCHEDULE}",
        edit_schedule("DELETE", _SCHEDULE),
        repeat_status=404,
    ),
    Operation(
        "pause a schedule", f"POST {_SCHEDULE}/pause", edit_schedule("POST", f"{_SCHEDULE}/pause")
    ),
    Operation(
        "resume a schedule",
        f"POST {_SCHEDULE}/resume",
        edit_schedule("POST", f"{_SCHEDULE}/resume", before="pause"),
    ),
    Operation(
        "run a schedule",
        f"POST {_SCHEDULE}/run",
        edit_schedule("POST", f"{_SCHEDULE}/run"),
        repeat=_AGAIN,
    ),
    Operation("create a webhook", "POST /webhooks", create_hook("/webhooks"), 201, **_TAKEN),
    Operation("replace a webhook", f"PUT {_HOOK}", edit_hook("PUT", _HOOK, queues=["b"])),
    Operation(
        "rotate a webhook", f"POST {_HOOK}/rotate", edit_hook("POST", f"{_HOOK}/rotate", grace="1d")
    ),
    Operation("delete a webhook", f"DELETE {_HOOK}", edit_hook("DELETE", _HOOK), repeat_status=404),
    Operation(
        "create a source", "POST /webhook-sources", create_hook("/webhook-sources"), 201, **_TAKEN
    ),
    Operation(
        "rotate a source",
        f"POST {_SOURCE}/rotate",
        edit_hook("POST", f"{_SOURCE}/rotate", grace="1d"),
    ),
    Operation(
        "delete a source", f"DELETE {_SOURCE}", edit_hook("DELETE", _SOURCE), repeat_status=404
    ),
    Operation("receive a webhook", "POST /webhooks/{name}", receive_webhook, 201),
)
