"""The audit log: who changed or configured what, and when."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from corvo_schema._base import ReplyModel
from corvo_schema.timestamps import Timestamp

DONE = "done"
"""Outcome of a call that was carried out. The others are error codes."""


class AuditOperation(StrEnum):
    """A call that the audit log records: the operation of `openapi.json` with this name."""

    PAUSE_QUEUE = "pause_queue"
    RESUME_QUEUE = "resume_queue"
    DRAIN_QUEUE = "drain_queue"
    CLEAR_QUEUE = "clear_queue"
    DELETE_QUEUE = "delete_queue"
    LIMIT_QUEUE = "limit_queue"
    THROTTLE_QUEUE = "throttle_queue"
    UNTHROTTLE_QUEUE = "unthrottle_queue"
    SET_DEFAULTS = "set_defaults"
    CLEAR_DEFAULTS = "clear_defaults"
    CANCEL_JOB = "cancel_job"
    RETRY_JOB = "retry_job"
    REQUEUE_JOB = "requeue_job"
    MOVE_JOB = "move_job"
    CHANGE_PRIORITY = "change_priority"
    DELETE_JOB = "delete_job"
    BULK = "bulk"
    CANCEL_BULK = "cancel_bulk"
    END_BULK = "end_bulk"
    """No call: the server has ended a bulk operation in the background."""
    PUT_SCHEDULE = "put_schedule"
    REPLACE_SCHEDULE = "replace_schedule"
    DELETE_SCHEDULE = "delete_schedule"
    PAUSE_SCHEDULE = "pause_schedule"
    RESUME_SCHEDULE = "resume_schedule"
    RUN_SCHEDULE = "run_schedule"
    CREATE_KEY = "create_key"
    ROTATE_KEY = "rotate_key"
    REVOKE_KEY = "revoke_key"
    CREATE_WEBHOOK = "create_webhook"
    REPLACE_WEBHOOK = "replace_webhook"
    ROTATE_WEBHOOK = "rotate_webhook"
    DELETE_WEBHOOK = "delete_webhook"
    CREATE_WEBHOOK_SOURCE = "create_webhook_source"
    ROTATE_WEBHOOK_SOURCE = "rotate_webhook_source"
    DELETE_WEBHOOK_SOURCE = "delete_webhook_source"


class AuditEntry(ReplyModel):
    """One call that changed or configured something, or was refused."""

    id: int
    at: Timestamp
    operation: Annotated[AuditOperation | str, Field(union_mode="left_to_right")]
    by: str = Field(
        description="Name of the API key; `anonymous` while the server needs no keys, `server` for "
        "the server itself, `command line` for `corvo-server keys`."
    )
    key_id: str | None = Field(None, description="Id of the API key.")
    roles: list[str] = Field(default_factory=list)
    address: str | None = Field(None, description="Address from which the call came.")
    request_id: str | None = Field(None, description="The `X-Request-ID` of the call.")
    target: str | None = Field(
        None,
        description="What was changed: the id of a job, a bulk operation or a key, or the name of "
        "a queue or a schedule.",
    )
    queue: str | None = Field(None, description="Queue of the target.")
    before: dict[str, Any] | None = Field(
        None, description="The changed values before the call; null if the target was new."
    )
    after: dict[str, Any] | None = Field(
        None, description="The values after the call; null if the target was deleted or refused."
    )
    outcome: str = Field(
        DONE, description="`done`, or the error code with which the call was refused."
    )


class AuditPage(ReplyModel):
    """Reply of `GET /audit`: a page of entries, newest first, and the cursor of the next page."""

    entries: list[AuditEntry]
    cursor: str | None = None
    has_more: bool = False
