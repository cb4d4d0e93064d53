"""Search: filters that combine with AND, an order, and pages that a cursor links."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from corvo_schema._base import ReplyModel, RequestModel
from corvo_schema.fields import (
    MAX_SEARCH_TEXT,
    WHOLE,
    Defaulted,
    Label,
    PriorityName,
    QueueName,
    SearchText,
    Tags,
    UniqueKey,
    member_of,
    text_json,
)
from corvo_schema.jobs import Job
from corvo_schema.states import JobState
from corvo_schema.timestamps import Timestamp

Expression = Annotated[SearchText, text_json(MAX_SEARCH_TEXT, format="corvo-jq")]
PageCursor = Annotated[SearchText, text_json(MAX_SEARCH_TEXT, format="corvo-cursor")]
Count = Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE]


class SortField(StrEnum):
    """By what a search may be ordered; ties by the order of enqueueing.

    `priority` goes by its number, so that `asc` begins with critical; `state` by its name. Jobs
    without the time in question come last in either order.
    """

    CREATED_AT = "created_at"
    SCHEDULED_AT = "scheduled_at"
    STARTED_AT = "started_at"
    COMPLETED_AT = "completed_at"
    FAILED_AT = "failed_at"
    PRIORITY = "priority"
    ATTEMPT = "attempt"
    QUEUE = "queue"
    STATE = "state"


class SortOrder(StrEnum):
    """In which direction."""

    ASC = "asc"
    DESC = "desc"


class SearchFilter(RequestModel):
    """Which jobs are meant: those that match every filter given. Texts hold no wildcards."""

    queue: QueueName | None = None
    state: Annotated[
        Defaulted[list[Annotated[JobState, member_of(JobState, has_default=False)]]],
        Field(strict=False),
    ] = Field(default_factory=list, description="Any of these; empty means any state.")
    priority: PriorityName | None = None
    tags: Tags = Field(default_factory=dict, description="All of these, each with just this value.")
    payload_contains: SearchText | None = Field(None, description="Text of the payload's JSON.")
    payload_jq: Expression | None = Field(None, description="A condition in a safe subset of jq.")
    created_after: Timestamp | None = None
    created_before: Timestamp | None = None
    scheduled_after: Timestamp | None = None
    scheduled_before: Timestamp | None = None
    started_after: Timestamp | None = None
    started_before: Timestamp | None = None
    completed_after: Timestamp | None = None
    completed_before: Timestamp | None = None
    expire_after: Timestamp | None = None
    expire_before: Timestamp | None = None
    attempt_min: Count | None = None
    attempt_max: Count | None = None
    unique_key: UniqueKey | None = None
    batch_id: Label | None = None
    worker_id: Label | None = None
    has_errors: bool | None = None
    error_contains: SearchText | None = None
    job_id_prefix: Label | None = None


class SearchRequest(SearchFilter):
    """`POST /jobs/search`: filters, order and page."""

    sort: Annotated[SortField, member_of(SortField)] = SortField.CREATED_AT
    order: Annotated[SortOrder, member_of(SortOrder)] = SortOrder.DESC
    limit: Annotated[int, Field(ge=1, le=1000), WHOLE] = 50
    cursor: PageCursor | None = Field(None, description="From the page before; opaque.")


class SearchReply(ReplyModel):
    """One page of jobs, how many match in all, and the cursor of the next page if there is one."""

    jobs: list[Job]
    total: int
    total_is_exact: bool = Field(
        True, description="False when counting took too long: then at least so many match."
    )
    cursor: str | None = None
    has_more: bool = False
    duration_ms: float = 0
