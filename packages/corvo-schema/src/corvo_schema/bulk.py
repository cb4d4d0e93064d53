"""Bulk operations: one action on many jobs, at once or in the background."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from corvo_schema._base import ReplyModel, RequestModel, given
from corvo_schema.fields import Defaulted, Label, PriorityName, QueueName, member_of
from corvo_schema.jobs import MAX_BATCH_JOBS
from corvo_schema.search import SearchFilter
from corvo_schema.states import JobState
from corvo_schema.timestamps import Timestamp


class BulkAction(StrEnum):
    """Action of a bulk operation. It applies to the jobs whose state allows it."""

    RETRY = "retry"
    DELETE = "delete"
    CANCEL = "cancel"
    MOVE = "move"
    REQUEUE = "requeue"
    CHANGE_PRIORITY = "change_priority"


class BulkStatus(StrEnum):
    """Status of a background bulk operation."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BulkRequest(RequestModel):
    """Body of `POST /jobs/bulk`: an action on the jobs in `job_ids` or matched by `filter`.

    Exactly one of the two is required. The action `move` requires `move_to_queue`;
    `change_priority` requires `priority`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [given("job_ids"), given("filter")],
            "allOf": [
                {"if": {"properties": {"action": {"const": action}}}, "then": given(needed)}
                for action, needed in (("move", "move_to_queue"), ("change_priority", "priority"))
            ],
        }
    )

    job_ids: (
        Annotated[list[Label], Field(strict=False, min_length=1, max_length=MAX_BATCH_JOBS)] | None
    ) = None
    filter: SearchFilter | None = None
    action: Annotated[BulkAction, member_of(BulkAction)]
    states: Annotated[
        Defaulted[list[Annotated[JobState, member_of(JobState, has_default=False)]]],
        Field(strict=False),
    ] = Field(
        default_factory=list,
        description="Change only selected jobs in one of these states; empty: all states.",
    )
    move_to_queue: QueueName | None = None
    priority: PriorityName | None = None
    run_async: Defaulted[bool] = Field(
        default=False, alias="async", description="Answer at once and run in the background."
    )

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if (self.job_ids is None) == (self.filter is None):
            raise ValueError("give exactly one of job_ids and filter")
        if self.action is BulkAction.MOVE and self.move_to_queue is None:
            raise ValueError("the action move requires move_to_queue")
        if self.action is BulkAction.CHANGE_PRIORITY and self.priority is None:
            raise ValueError("the action change_priority requires priority")
        return self


class BulkReply(ReplyModel):
    """Result of a bulk operation that ran within its request."""

    affected: int = Field(description="Number of jobs changed.")
    errors: int = Field(0, description="Number of jobs whose state did not allow the action.")
    duration_ms: float = 0


class BulkAccepted(ReplyModel):
    """A bulk operation that runs in the background. Follow `progress_url` or `GET /bulk/{id}`."""

    bulk_operation_id: str
    status: Annotated[BulkStatus | str, Field(union_mode="left_to_right")]
    estimated_total: int
    progress_url: str


class BulkOperation(ReplyModel):
    """Reply of `GET /bulk/{id}`: a background bulk operation, `processed` of `total` jobs done.

    Calls on 251 to 10,000 jobs, and clears and deletes of queues with more than 250 jobs, are bulk
    operations as well. They wait for their end for a while.
    """

    id: str
    status: Annotated[BulkStatus | str, Field(union_mode="left_to_right")]
    action: Annotated[BulkAction | str, Field(union_mode="left_to_right")] = Field(
        description="An action of `POST /jobs/bulk`, or `clear_queue` or `delete_queue`."
    )
    total: int
    processed: int = 0
    affected: int = 0
    errors: int = 0
    error: str | None = None
    created_at: Timestamp
    updated_at: Timestamp | None = None
    finished_at: Timestamp | None = None
