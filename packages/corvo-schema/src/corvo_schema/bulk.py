"""Bulk operations: one action on many jobs, at once or in the background."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from corvo_schema._base import ReplyModel, RequestModel, given
from corvo_schema.fields import Defaulted, Label, PriorityName, QueueName, member_of
from corvo_schema.jobs import MAX_BATCH_JOBS
from corvo_schema.search import SearchFilter
from corvo_schema.timestamps import Timestamp


class BulkAction(StrEnum):
    """What a bulk operation does to the jobs whose state allows it."""

    RETRY = "retry"
    DELETE = "delete"
    CANCEL = "cancel"
    MOVE = "move"
    REQUEUE = "requeue"
    CHANGE_PRIORITY = "change_priority"


class BulkStatus(StrEnum):
    """How far a bulk operation in the background is."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BulkRequest(RequestModel):
    """`POST /jobs/bulk`: an action on the jobs named by `job_ids` or matched by `filter`.

    Exactly one of the two. `move` needs `move_to_queue`, `change_priority` needs `priority`.
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
    move_to_queue: QueueName | None = None
    priority: PriorityName | None = None
    run_async: Defaulted[bool] = Field(
        default=False, alias="async", description="Answer at once and work in the background."
    )

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if (self.job_ids is None) == (self.filter is None):
            raise ValueError("give either job_ids or filter")
        if self.action is BulkAction.MOVE and self.move_to_queue is None:
            raise ValueError("the action move needs move_to_queue")
        if self.action is BulkAction.CHANGE_PRIORITY and self.priority is None:
            raise ValueError("the action change_priority needs priority")
        return self


class BulkReply(ReplyModel):
    """What a bulk operation did: jobs changed, and jobs whose state did not allow it."""

    affected: int
    errors: int = 0
    duration_ms: float = 0


class BulkAccepted(ReplyModel):
    """The bulk operation goes on in the background; ask `progress_url` or `GET /bulk/{id}`."""

    bulk_operation_id: str
    status: Annotated[BulkStatus | str, Field(union_mode="left_to_right")]
    estimated_total: int
    progress_url: str


class BulkOperation(ReplyModel):
    """`GET /bulk/{id}`: how far a bulk operation is; `processed` of `total`."""

    id: str
    status: Annotated[BulkStatus | str, Field(union_mode="left_to_right")]
    action: Annotated[BulkAction | str, Field(union_mode="left_to_right")]
    total: int
    processed: int = 0
    affected: int = 0
    errors: int = 0
    error: str | None = None
    created_at: Timestamp
    updated_at: Timestamp | None = None
    finished_at: Timestamp | None = None
